"""More and fewer servers, updates and failures: nobody who uses the application notices."""

import json
import secrets

import pytest

from fabfile.scenario.inventory import Inventory
from tests.lab import places
from tests.lab.commands import wait_for
from tests.lab.scaled import (
    apps,
    assert_file_and_process_agree,
    current,
    machines,
    restore,
    statuses,
    traces,
    unnoticed,
)
from tests.lab.traffic import traffic


@pytest.fixture
def served(repaired):
    """Begin with all servers up; behind each test, HAProxy's file and process say the same."""
    wait_for("all servers up", lambda: {*statuses(repaired).values()} == {"UP"})
    yield repaired
    assert_file_and_process_agree(repaired)


@pytest.fixture(autouse=True, scope="module")
def three_servers_left(repaired):
    """Begin and end with the servers of config.py, whatever a failed test has left."""
    restore(repaired)
    yield
    restore(repaired)


def releases(lab) -> dict[str, str]:
    return {name: lab.do(name, "readlink /srv/crm/current").strip() for name in apps()}


def change_application() -> None:
    with (places.APPLICATION / "wsgi.py").open("a") as file:
        # Like no other: the database remembers which releases it was migrated for.
        file.write(f"# {secrets.token_hex(8)}\n")


def test_a_server_is_added(served):
    processes = "systemctl show -P MainPID pgbouncer 'postgresql@*'"
    before = served.do("bbdd", processes)
    with unnoticed("add-server") as running:
        done = served.invoke("add-server", "--name", "s4")
    # PostgreSQL and its pooler have only read their lists again.
    assert served.do("bbdd", processes) == before
    assert running.report.servers["s4"] and "s4 " in done.out.splitlines()[-1]
    assert apps() == ["s1", "s2", "s3", "s4"] and statuses(served)["s4"] == "UP"
    rows = json.loads(served.invoke("status", "--json").out)
    assert [row["machine"] for row in rows if row["tier"] == "app"] == apps()
    served.assert_nothing_to_do()


def test_and_removed_again(served):
    with unnoticed("remove-server"):
        served.invoke("remove-server", "--name", "s4")
    assert traces(served, "s4") == [] and apps() == ["s1", "s2", "s3"]
    served.assert_nothing_to_do()


def test_three_become_six_and_three_again(served):
    with unnoticed("scale to 6") as running:
        served.invoke("scale", "--servers", "6")
    assert {*running.report.servers} == {f"s{number}" for number in range(1, 7)}
    assert_file_and_process_agree(served)
    done = served.invoke("verify", "--json", code=None)
    checks = {check["name"]: check for check in json.loads(done.out)["checks"]}
    every = checks["internet: every app server answers"]
    assert every["ok"] and "s6" in every["seen"], every
    with unnoticed("scale to 3"):
        served.invoke("scale", "--servers", "3")
    assert [traces(served, name) for name in ("s4", "s5", "s6")] == [[], [], []]


def test_an_update_goes_from_server_to_server(served):
    before = releases(served)
    change_application()
    with unnoticed("rolling update"):
        done = served.fab("deploy")
    after = releases(served)
    assert len({*after.values()}) == 1 and after != before
    assert done.begun("migrate the database of crm") == 1
    drained = [line.split()[3] for line in done.out.splitlines() if " drain " in line]
    assert drained == ["s1", "s2", "s3"], done.out


def test_and_back_in_batches(served):
    before = releases(served)
    with unnoticed("rollback"):
        done = served.fab("app.rollback", "--batch", "2")
    after = releases(served)
    assert len({*after.values()}) == 1 and after != before
    assert "migrate" not in done.out and "the next deploy brings that" in done.out
    assert "s1, s2, s3" in served.fab("app.releases").out
    served.fab("app.rollback", "--to", before["s1"].partition("/")[2], "--batch", "100%")
    assert releases(served) == before


def test_the_balancer_reloads_and_changes(served):
    with unnoticed("reload and change of the balancer"):
        served.do("lb", "systemctl reload haproxy")
        served.do("lb", "sed -i 's/maxconn 4000/maxconn 3999/' /etc/haproxy/haproxy.cfg")
        served.do("lb", "systemctl reload haproxy")
        done = served.fab("deploy")
        assert "reload haproxy.service" in done.out


def test_maintenance_outlasts_deploys_and_reloads(served):
    with unnoticed("maintenance") as running:
        served.invoke("maintenance", "--server", "s2", "on")
        assert_file_and_process_agree(served)
        assert statuses(served)["s2"] == "MAINT"
        served.do("lb", "systemctl reload haproxy")
        served.assert_nothing_to_do()
        assert statuses(served)["s2"] == "MAINT"
        assert "s2: MAINT" in served.invoke("status").out
        assert served.scenario.machine("s2") not in current().serving
        served.invoke("maintenance", "--server", "s2", "off")
        assert statuses(served)["s2"] == "UP"
    assert running.report.servers["s2"]


def test_a_server_dies_and_another_takes_its_place(served):
    with traffic(current()) as running:
        served.invoke("lab.stop", "s3", "--kill")
        wait_for("HAProxy to notice", lambda: statuses(served)["s3"] == "DOWN")
    report = running.report
    print(f"\nsudden death: {report}")
    # Only what it was answering is lost, and of that only what must not be done twice.
    assert all(kind == "write" for kind, *_ in report.errors), report.errors
    assert len(report.errors) <= 1 and report.written and not report.lost, report
    with unnoticed("removal of the dead server"):
        served.invoke("remove-server", "--name", "s3")
    assert traces(served, "s3") == ["inventory"] and apps() == ["s1", "s2"]
    assert "s3" not in machines(served)
    served.assert_nothing_to_do()
    served.invoke("add-server", "--name", "s3")
    assert apps() == ["s1", "s2", "s3"] and current().inventory == Inventory()
