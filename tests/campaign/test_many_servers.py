"""Fifty app servers and two hundred clients: nobody is refused a connection to the database."""

import time
from threading import Thread

import pytest

from tests.lab.commands import wait_for
from tests.lab.scaled import apps, current, restore, statuses
from tests.lab.traffic import traffic

SERVERS, CLIENTS, SECONDS = 50, 200, 30
LOG = "/var/log/postgresql/postgresql-*-main.log"
# With the cursor of journald's at its end.
POOLER = "journalctl -q -u pgbouncer -o cat --show-cursor"
# A third of what they ask for is read in the database.
HALF = {"kept": CLIENTS // 2, "new": CLIENTS // 2, "writers": 0}
# How many connections PostgreSQL has for users by itself.
DEFAULT = 97
USERS = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'crm'"
# What the server's processes have for themselves, shared memory divided among them, in KiB.
MEMORY = (
    "for pid in $(pgrep -u postgres); do sed -n 's/^Pss: *//p' /proc/$pid/smaps_rollup || :; done "
    "2>/dev/null | awk '{ sum += $1 } END { print sum }'"
)


@pytest.fixture(scope="module")
def many(lab):
    """Have that many servers, and the three of config.py again behind the tests."""
    begin = time.monotonic()
    done = lab.invoke("scale", "--servers", str(SERVERS), limit=5400)
    print(f"\nscale --servers {SERVERS}: {time.monotonic() - begin:.0f} s")
    print(done.out.splitlines()[-1])
    assert len(apps()) == SERVERS and {*statuses(lab).values()} == {"UP"}
    yield lab
    lab.invoke("scale", "--servers", "3", limit=1800)
    restore(lab)


@pytest.fixture
def log(many):
    """Give a function that answers what PostgreSQL and its pooler have said of refusals."""
    begin = int(many.do("bbdd", f"stat -c %s {LOG}"))
    cursor = many.do("bbdd", f"{POOLER} -n 1").rpartition("-- cursor: ")[2].strip()

    def refused():
        said = many.do("bbdd", f"tail -c +{begin + 1} {LOG}").splitlines()
        found = [line for line in said if "too many clients" in line or "slots are" in line]
        said = many.do("bbdd", f"{POOLER} --after-cursor '{cursor}'").splitlines()
        return found + [line for line in said if "pooler error" in line]

    return refused


def test_two_hundred_clients_of_fifty_servers_are_all_answered(many, log):
    seen, memory = [], []
    with traffic(current(), interval=1, **HALF) as running:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            seen.append(int(many.sql(USERS)))
            memory.append(int(many.do("bbdd", MEMORY)) // 1024)
    report = running.report
    print(f"\n{len(report.seen) / report.seconds:.0f} requests/s of {CLIENTS} clients: {report}")
    print(f"{max(seen)} connections at most; PostgreSQL took {max(memory)} MiB at most")
    assert log() == []
    assert report.errors == []
    assert {*report.servers} == {*apps()}
    many.assert_nothing_to_do()


def test_all_may_wait_for_the_database_at_once(many, log):
    # Shorter than the application's own limit of a statement.
    hold = "BEGIN; LOCK TABLE customers; SELECT pg_sleep(3.5); COMMIT;"
    seen = []
    with traffic(current(), interval=0.25, **HALF) as running:
        holder = Thread(target=many.sql, args=(hold, "crm"))
        holder.start()
        while holder.is_alive():
            seen.append(int(many.sql(USERS)))
        holder.join()
    limit = many.sql("SHOW max_connections")
    print(f"\n{max(seen)} connections of {limit} while all wait; {running.report}")
    assert log() == []
    # The test has seen its subject: there were more than PostgreSQL allows by itself.
    assert max(seen) > DEFAULT
    wait_for("all servers up again", lambda: {*statuses(many).values()} == {"UP"}, 60)
    many.assert_nothing_to_do()
