"""What is made of a PostgreSQL that holds other settings than our file, or a role that is wrong."""

import json
import subprocess

import pytest

from fabfile.engine.change import Refused
from fabfile.engine.survey import LIBRARY, Survey
from fabfile.tiers.app import migration
from fabfile.tiers.database import cluster, state
from fabfile.tiers.database.copying import ARCHIVE
from fabfile.tiers.database.role import Role
from fabfile.tiers.database.settings import Settings, query, wanted

OURS = "/etc/postgresql/17/main/conf.d/crm.conf"
SYSTEM = "/var/lib/postgresql/17/main/postgresql.auto.conf"
VALUES = {"listen_addresses": "10.1.4.31", "port": "5432", "max_connections": "180"}
SETTINGS = Settings(OURS, VALUES, Survey("inventory", ":"), "")


def entry(name: str, value: str, file: str = SYSTEM, **more: object) -> dict:
    return {"name": name, "value": value, "file": file, "line": 3, **more}


def held(name: str, value: str, source: str = "configuration file", context: str = "postmaster"):
    return {"name": name, "value": value, "context": context, "source": source}


def planned(*rows: dict, changed=frozenset()):
    return SETTINGS.plan("".join(f"{json.dumps(row)}\n" for row in rows), {*changed})


LOCAL = "listen_addresses = 'localhost'"
LOST = f"{LOCAL} (the app servers cannot reach it there)"
BACK = "take back what ALTER SYSTEM has set: "


def test_what_a_file_of_ours_sets_is_read_of_it(scenario):
    (machine,) = scenario.tier("database")
    assert wanted(state._settings(scenario, machine).content) == {
        "listen_addresses": "10.1.4.31",
        "port": "5432",
        "max_connections": "180",
        "password_encryption": "scram-sha-256",
        "archive_mode": "on",
        "archive_command": f"{ARCHIVE} push %p",
        "archive_timeout": "60",
    }


def test_values_are_read_as_postgresql_reads_them():
    text = "a = 'it''s'\n# b = 1\nc = 5 # no\nd = 5MB\nlong.name = 1\n"
    assert wanted(text) == {"a": "it's", "d": "5MB"}


@pytest.mark.parametrize(
    ("rows", "restart", "summary"),
    [
        # It holds, or will after the next restart.
        (
            [entry("listen_addresses", "localhost"), held("listen_addresses", "localhost")],
            True,
            BACK + LOST,
        ),
        ([entry("listen_addresses", "localhost")], False, BACK + LOCAL),
        # Also what it says itself: its file could not change it any more.
        ([entry("port", "5432")], False, f"{BACK}port = '5432'"),
        (
            [
                entry("work_mem", "1MB"),
                held("work_mem", "1024", context="user"),
            ],
            False,
            f"{BACK}work_mem = '1MB'",
        ),
        # Nobody answers: it may not be able to start with it.
        (
            [entry("listen_addresses", "10.9.9.9", written=True)],
            True,
            f"{BACK}listen_addresses = '10.9.9.9'",
        ),
        # A file was put right by hand, and nothing has read it.
        (
            [held("max_connections", "100")],
            True,
            "have its file's max_connections = '180' hold, in place of max_connections = '100'",
        ),
    ],
)
def test_what_is_changed_and_why(monkeypatch, rows, restart, summary):
    monkeypatch.setitem(VALUES, "work_mem", "4096")
    change = planned(*rows)
    assert change.summary == summary
    assert change.key == (SETTINGS.restart_key if restart else SETTINGS.key)
    assert ("reset_settings" in change.script) is any("file" in row for row in rows)


def test_a_server_at_which_all_is_right_is_left_alone():
    assert planned() is None
    # As it is before the first start, and after a change of ours: that has its own restart.
    assert planned(held("max_connections", "100"), changed=[OURS]) is None


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (entry("port", "5433", f"{OURS[:-8]}zz.conf"), "cannot reach it there) in "),
        (entry("listen_addresses", "*", f"{OURS[:-8]}zz.conf"), "listen_addresses = '*' in "),
        (entry("max_connections", "9", f"{OURS[:-8]}zz.conf"), "/conf.d/zz.conf, line 3, after "),
        (held("port", "5433", source="command line"), "on its command line"),
    ],
)
def test_what_is_somebody_elses_is_named_and_not_changed(row, words):
    with pytest.raises(Refused, match=r"remove (that line|it)") as caught:
        planned(entry("port", "9"), row)
    assert words in str(caught.value)


def test_another_file_that_says_the_same_is_no_fault():
    assert planned(entry("port", "5432", f"{OURS[:-8]}zz.conf")) is None


def test_a_value_with_a_quote_is_no_other_statement():
    assert "('port', '5''; DROP')" in query(OURS, {"port": "5'; DROP"})


@pytest.fixture
def files(tmp_path):
    """Give a function that runs the cluster's shell functions on files of its own."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "postgresql.conf").write_text(
        f"data_directory = '{tmp_path}/data'\nport = 5432\nmax_connections = 100\n"
        "include_dir = 'conf.d'\n#port = 1\n  Port 5434  # mine\n"
    )
    (tmp_path / "conf.d/10-own.conf").write_text("port = 5431\n")
    (tmp_path / "conf.d/crm.conf").write_text("port = 5432\n")
    (tmp_path / "conf.d/zz.conf").write_text("\nlisten_addresses='a, \"b\"' # c\nshared = 1\n")
    system = tmp_path / "data/postgresql.auto.conf"
    system.write_text("# Do not edit\nport = '5435'\nwork_mem = '1MB'\n")

    def run(script: str) -> str:
        library = f"version=17\n{cluster.SHELL}".replace(
            "settings=/etc/postgresql/${version:?}/main", f"settings={tmp_path}"
        )
        done = subprocess.run(
            ["sh", "-eu"], input=library + script, capture_output=True, text=True, timeout=20
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.system = system
    return run


def test_of_a_server_that_does_not_answer_the_files_are_read(files, tmp_path):
    lines = files("written port listen_addresses").splitlines()
    rows = [json.loads(line.removesuffix("|setting")) for line in lines]
    assert all(row.pop("written") for row in rows)
    assert [(row["name"], row["value"], row["line"]) for row in rows] == [
        ("port", "5434", 6),
        ("listen_addresses", 'a, "b"', 2),
        ("port", "5435", 2),
    ]
    assert [row["file"].removeprefix(f"{tmp_path}/") for row in rows] == [
        "postgresql.conf",
        "conf.d/zz.conf",
        "data/postgresql.auto.conf",
    ]


def test_what_alter_system_has_set_is_taken_back_of_a_server_that_does_not_run(files):
    files("reset_settings port listen_addresses 2>/dev/null")
    assert files.system.read_text() == "# Do not edit\nwork_mem = '1MB'\n"


@pytest.mark.parametrize(
    ("told", "summary"),
    [
        ("role\ndatabase", None),
        ("database", "set up the database role crm"),
        (
            "it may have 0 connections at once|role\ndatabase",
            "set up the database role crm: it may have 0 connections at once",
        ),
    ],
)
def test_what_is_wrong_of_a_role_is_said(scenario, told, summary):
    (machine,) = scenario.tier("database")
    (role,) = (each for each in state.desired(scenario, machine) if isinstance(each, Role))
    script = f"{LIBRARY}\ninventory='{told}'\n{role.probe()}"
    done = subprocess.run(["sh", "-eu"], input=script, capture_output=True, text=True, timeout=20)
    change = role.plan(done.stdout, set())
    assert (change.summary if change else None) == summary, done
    assert change is None or change.key == "set up the database role crm"


@pytest.mark.parametrize(
    ("recorded", "summary"),
    [
        ("seed", None),
        ("", "seed the database of crm"),
        (
            migration.SILENT,
            "look again whether to seed the database of crm: bbdd cannot be asked now",
        ),
    ],
)
def test_a_database_that_cannot_be_asked_is_not_to_be_seeded_for_that(scenario, recorded, summary):
    steps = migration.migrated(scenario, scenario.machine("s1"))
    (seed,) = (each for each in steps if each.key == "seed the database of crm")
    script = f"{LIBRARY}\nrecorded='{recorded}'\n{seed.probe()}"
    done = subprocess.run(["sh", "-eu"], input=script, capture_output=True, text=True, timeout=20)
    change = seed.plan(done.stdout, set())
    assert (change.summary if change else None) == summary, done


@pytest.mark.parametrize(
    ("code", "told"), [(0, "seed\n"), (2, f"{migration.SILENT}\n"), (3, ""), (127, "")]
)
def test_psqls_exit_code_tells_a_silent_database_from_one_without_a_table(scenario, code, told):
    steps = migration.migrated(scenario, scenario.machine("s1"))
    ((survey, _),) = steps[0].surveys
    program = migration.cluster.program("psql", scenario.debian(scenario.machine("s1")))
    stands_in = f"psql() {{ [ {code} != 0 ] || echo seed; return {code}; }}\n"
    script = stands_in + survey.command.replace(program, "psql")
    done = subprocess.run(["sh", "-u"], input=script, capture_output=True, text=True, timeout=20)
    assert done.stdout == told, done
