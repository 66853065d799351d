"""What an application gets: its variables, its units, its connections."""

from dataclasses import replace

import pytest

from fabfile.scenario import Process
from fabfile.scenario.variables import filled, unknown
from fabfile.tiers.app import state, units
from fabfile.tiers.database import limits

WORKER, TIMER = Process("worker", "work", single=False), Process("timer", "tick", single=True)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("${PGHOST}", "bbdd"),
        ("a ${PGHOST}:${PORT} b", "a bbdd:3000 b"),
        ("$PGHOST $ {PORT}", "$PGHOST $ {PORT}"),
        ("$${PGHOST}", "${PGHOST}"),
        ("$${HOME}", "${HOME}"),
    ],
)
def test_a_value_refers_to_what_is_given(value, wanted):
    assert filled(value, {"PGHOST": "bbdd", "PORT": "3000"}) == wanted
    assert unknown(value) == []


@pytest.mark.parametrize(("value", "names"), [("${HOME} $${X} ${PORT}", ["HOME"]), ("${}", [""])])
def test_what_is_not_given_is_named(value, names):
    assert unknown(value) == names


def test_the_parts_of_the_database_say_what_its_url_says(scenario):
    own = {"DB": "${PGUSER}:${PGPASSWORD}@${PGHOST}:${PGPORT}/${PGDATABASE}"}
    wanted = replace(scenario, application=replace(scenario.application, environment=own))
    given = state.environment(wanted)
    assert given["DATABASE_URL"] == f"postgresql://{given['DB']}"


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("node app.js", '"node app.js"'),
        ("echo \"$A\" 100% '\\n'", '"echo \\"$$A\\" 100%% \'\\\\n\'"'),
        ("one\ntwo", '"one\\ntwo"'),
    ],
)
def test_systemd_takes_a_line_as_it_is(line, word):
    assert units.argument(line) == word


def test_a_process_that_runs_once_holds_a_connection_on_each_server(scenario):
    application = replace(scenario.application, connections=10, processes=(WORKER, TIMER))
    assert application.sessions == 11
    assert limits.mistakes(scenario.machines, 3, [replace(application, connections=327)])
    assert not limits.mistakes(scenario.machines, 3, [replace(application, connections=325)])


def test_each_process_has_a_unit_after_that_of_the_web_process(scenario):
    application = replace(scenario.application, processes=(WORKER, TIMER))
    names = ("crm.service", "crm@worker.service", "crm@timer.service")
    assert units.names(application) == names
    files = units.files(
        replace(scenario, application=application), scenario.machine("s1"), "/mnt", "mnt.mount"
    )
    assert [file.path.rpartition("/")[2] for file in files] == list(names)
    web, worker, timer = (file.content for file in files)
    assert "StopPropagatedFrom" not in web
    assert 'ExecStart=/bin/bash -c "work"' in worker
    assert 'bin/psql 5432 timer "tick"' in timer
