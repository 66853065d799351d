"""Two databases: either is away, cut off, frozen, changed or made anew, and no write is lost."""

import re
import time
from contextlib import contextmanager
from itertools import pairwise

import pytest

from fabfile.lab import machines
from tests.lab import pairs, places
from tests.lab.commands import wait_for
from tests.lab.traffic import Report, traffic

pytestmark = pytest.mark.takes_the_lab_away

DATABASES = ("bbdd", "bbdd2")
PATRONI = f"patroni@{places.VERSION}-main"
ROLE = "SELECT CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END;"
# Seconds without a write that is acknowledged: a third more than what is promised of machines that
# do not share two cores with another lab.
AWAY, KILLED, PLANNED = 40, 13, 7
# Of the primary: another one may take its place, as Patroni has noted once it is in step.
IN_STEP = f"timeout 10 patronictl -c /etc/patroni/{places.VERSION}-main.yml list -f json"


class Pair(pairs.Pair):
    """The scenario of a pair of databases, and what either of them says."""

    tier = "database"
    works = "/usr/local/lib/crm-deployer/database-works"

    def sql(self, name: str, statement: str) -> str:
        """Run a statement as PostgreSQL's administrator for five seconds at most; or the error.

        Of a machine that is off, nothing.
        """
        psql = "timeout 5 runuser -u postgres -- psql -h /var/run/postgresql -qAtX"
        if name not in machines.running(self.scenario.lab):
            return ""
        return self.do(name, f"cd /; {psql} <<'SQL' 2>&1 || :\n{statement}\nSQL").strip()

    def replace(self, name: str) -> None:
        """Have an empty machine in the place of one that was lost."""
        machines.remove(self.scenario.lab, name)
        self.task("invoke", "lab.up")


@pytest.fixture(scope="module")
def pair(lab, tmp_path_factory):
    """Give two databases, deployed."""
    made = Pair(lab, tmp_path_factory.mktemp("pair"), entries=pairs.entries(lab, "database"))
    with made.deployed():
        yield made


def primaries(pair) -> list[str]:
    return [name for name in DATABASES if pair.sql(name, ROLE) == "primary"]


def primary(pair) -> str:
    """Return the primary, once there is one that another is in step with."""
    found: list[str] = []

    def settled() -> bool:
        found[:] = primaries(pair)
        return len(found) == 1 and "Sync Standby" in pair.do(found[0], IN_STEP)

    wait_for("a primary, and a standby in step with it", settled, 90)
    return found[0]


def other(name: str) -> str:
    return next(each for each in DATABASES if each != name)


def gap(report: Report) -> float:
    """Return the longest time without a write that was acknowledged, in seconds."""
    moments = sorted(begun + took for kind, begun, took, _ in report.seen if kind == "write")
    return max(after - before for before, after in pairwise(moments))


def assert_unnoticed(report: Report) -> None:
    assert report.seen and not report.errors and not report.lost, str(report)


@contextmanager
def writing(pair, limit: float, what: str):
    """Have clients write during the block, and until they can again; assert what they saw."""
    with traffic(pair.scenario) as running:
        yield
        wrote = len(running.load.written) + 3
        wait_for("writes to be acknowledged", lambda: len(running.load.written) > wrote, 60)
    print(f"{what}: {gap(running.report):.1f} s without a write; {running.report}")
    assert gap(running.report) <= limit, str(running.report)
    assert not running.report.lost, str(running.report)


def test_a_switchover_is_waited_for_and_fails_nobody(pair):
    before = primary(pair)
    with traffic(pair.scenario) as running:
        done = pair.task("invoke", "database.switchover")
    assert_unnoticed(running.report)
    assert gap(running.report) <= PLANNED, str(running.report)
    assert f"{other(before)} is the primary" in done
    assert primary(pair) == other(before)
    rows = pair.task("invoke", "status")
    assert re.search(rf"role: primary, timeline \d+\s.*\n.*{before}: streaming, sync", rows), rows


def test_a_primary_that_is_killed_is_back_or_replaced(pair):
    name = primary(pair)
    pid = f"head -n 1 /var/lib/postgresql/{places.VERSION}/main/postmaster.pid"
    with writing(pair, KILLED, "postmaster killed"):
        pair.do(name, f"kill -9 $({pid})")


def test_a_primary_that_is_powered_off_loses_no_write_and_comes_back_as_a_standby(pair):
    name = primary(pair)
    try:
        with writing(pair, AWAY, "powered off"):
            pair.task("invoke", "lab.stop", name, "--kill")
            wait_for("another primary", lambda: primaries(pair) == [other(name)], 40)
        # Who is away is left out, and what needs both is refused.
        said = pair.task("fab", "deploy")
        assert f"{other(name)} does the work of {name}, which is left as it is" in said
        said = pair.task("invoke", "database.switchover", code=1)
        assert f"{other(name)} is the only one that can be reached." in said
        with traffic(pair.scenario) as running:
            pair.task("invoke", "lab.start", name)
            assert primary(pair) == other(name)
        assert_unnoticed(running.report)
    finally:
        pair.task("invoke", "lab.start", name)


def test_a_primary_whose_patroni_is_frozen_acknowledges_nothing_any_more(pair):
    name = primary(pair)
    freeze = f"systemctl kill --kill-whom=main -s {{}} {PATRONI}"
    try:
        with writing(pair, AWAY, "Patroni frozen"):
            pair.do(name, freeze.format("STOP"))
            wait_for("another primary", lambda: other(name) in primaries(pair), 40)
            # It does not know, and takes what is written; but nobody is told that it is kept.
            assert pair.sql(name, ROLE) == "primary"
            alone = "CREATE TABLE alone (it int);\nSELECT 'acknowledged';"
            assert "acknowledged" not in pair.sql(name, alone)
    finally:
        pair.do(name, freeze.format("CONT"))
    assert primary(pair) == other(name)
    for each in DATABASES:
        assert pair.sql(each, "SELECT to_regclass('alone') IS NULL;") == "t"


def test_both_restart_for_their_settings_and_fail_nobody(pair):
    name = primary(pair)
    held = pair.sql(name, "SHOW max_connections;")
    once = {"one": {"start": "sleep infinity", "on": "one"}}
    application = {**pair.entries["APPLICATION"], "processes": once}
    config = pair.write("more", {**pair.entries, "APPLICATION": application})
    with traffic(pair.scenario) as running:
        done = pair.task("fab", "database.deploy", config=config)
    assert_unnoticed(running.report)
    restart = "settings  restart PostgreSQL for its settings"
    first, last = (done.index(f"{each:<7}{restart}") for each in (other(name), name))
    assert first < last, done
    for each in DATABASES:
        assert int(pair.sql(each, "SHOW max_connections;")) > int(held)
    # More connections than are needed are left as they are.
    pair.task("fab", "database.deploy")
    assert "0 changes" in pair.task("fab", "database.deploy")


def test_a_standby_that_was_lost_comes_back_empty_and_copies(pair):
    name = other(primary(pair))
    pair.replace(name)
    with traffic(pair.scenario) as running:
        pair.task("fab", "deploy")
        primary(pair)
    assert_unnoticed(running.report)
    done = pair.task("invoke", "database.reinit", "--name", name)
    assert f"{name} has a new copy" in done
    primary(pair)


def test_one_goes_on_alone_and_another_one_joins_it(pair):
    left = {name: entry for name, entry in pair.entries["MACHINES"].items() if name != "bbdd2"}
    config = pair.write("alone", {**pair.entries, "MACHINES": left, "FLOATING": {}})
    if primary(pair) == "bbdd2":
        refused = pair.task("fab", "deploy", config=config, code=1)
        assert "bbdd: it is not the primary" in refused and "Nothing was changed." in refused
        pair.task("invoke", "database.switchover")
        primary(pair)
    pair.task("fab", "deploy", config=config)
    assert "0 changes" in pair.task("fab", "deploy", config=config)
    remains = "ls /etc/patroni/*-main.yml /etc/keepalived/keepalived.conf 2>/dev/null || :"
    assert pair.do("bbdd", remains) == ""
    assert pair.do("nas1", "ls -d /var/lib/etcd/agreement 2>/dev/null || :") == ""
    assert pair.do("bbdd", f"systemctl is-active postgresql@{places.VERSION}-main") == "active\n"
    begun = time.monotonic()
    pair.task("fab", "deploy")
    print(f"two again after {time.monotonic() - begun:.1f} s")
    primary(pair)
    assert "0 changes" in pair.task("fab", "deploy")
