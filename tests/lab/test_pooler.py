"""PgBouncer before PostgreSQL: who comes by it, what it knows, and what if either of them dies."""

import time
from pathlib import Path

import pytest

from fabfile.scenario import load
from fabfile.scenario.credentials import scram_verifier
from fabfile.tiers.database import checks, pooler
from fabfile.verify import _site
from tests.lab import places
from tests.lab.commands import wait_for
from tests.lab.places import VERSION
from tests.lab.scaled import statuses
from tests.lab.traffic import traffic

POSTGRESQL = f"postgresql@{VERSION}-main"
BACK_SECONDS = 5
CONSOLE = "cd / && runuser -u postgres -- psql -h /run/postgresql -p 6432 -U pgbouncer -qAX -c"
ROOM = "database: all that the servers may open has room in pooler and PostgreSQL"
# The variables of the running application, for what follows.
GIVEN = (
    "export $(tr '\\0' '\\n' </proc/$(systemctl show -P MainPID crm)/environ "
    "| grep -E '^(PG|DATABASE_URL)')\n"
)


@pytest.fixture
def right(repaired):
    """Have nothing to do behind each test, and users served by all."""
    yield repaired
    wait_for("all servers up", lambda: {*statuses(repaired).values()} == {"UP"})
    repaired.assert_nothing_to_do()


def console(lab, command):
    """Return the rows that the pooler's console answers, name -> value each."""
    text = lab.do("bbdd", f"{CONSOLE} '{command}' -P footer=off")
    names, *rows = [line.split("|") for line in text.splitlines()]
    return [dict(zip(names, row, strict=True)) for row in rows]


def clients(lab):
    """Return (address, port) of each connection of the application with the pooler."""
    rows = console(lab, "SHOW CLIENTS")
    return {(row["addr"], row["port"]) for row in rows if row["database"] == "crm"}


def process(lab, unit):
    return int(lab.do("bbdd", f"systemctl show -P MainPID {unit}"))


def wrong(config):
    """Return the checks of the database that are false."""
    with _site(load(config)) as site:
        return [check for check in checks.checks(site) if not check.ok]


def all_answer(lab):
    """Tell whether all servers answer their users with what is in the database."""
    return {lab.get("health").status_code for _ in lab.apps} == {200}


def test_the_application_comes_by_it_and_postgresql_hears_of_nobody_else(repaired):
    wait_for("all to answer", lambda: all_answer(repaired))
    wanted = {repaired.address(name, "lan4") for name in repaired.apps}
    assert {address for address, _ in clients(repaired)} == wanted
    seen = repaired.sql(
        "SELECT DISTINCT coalesce(host(client_addr), 'socket'), "
        "substring(application_name from ' - (.*):') FROM pg_stat_activity "
        # Those of nobody now have no name.
        "WHERE usename = 'crm' AND application_name <> ''"
    )
    assert {*seen.splitlines()} == {f"socket|{address}" for address in wanted}
    shown = repaired.invoke("status").out
    assert "pooler: " in shown and "pgbouncer" in shown and "s3: 0 conn" not in shown


def test_it_knows_what_postgresql_stores_and_no_password(repaired):
    kept = repaired.do("bbdd", f"cat {pooler.USERS}; stat -c '%a %U' {pooler.USERS}").splitlines()
    verifier = scram_verifier(repaired.scenario.secret("database_password"), "crm")
    assert kept[1:] == [f'"crm" "{verifier}"', "600 postgres"]
    assert repaired.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'crm'") == verifier


def test_who_knows_too_little_or_wants_more_does_not_get_in(repaired):
    assert "PGPORT=6432" in repaired.do("s1", f"{GIVEN}env | grep ^PG")
    for change, words in {
        "PGPASSWORD=wrong": "authentication failed",
        "PGDATABASE=postgres": "no authentication method is found",
        "PGUSER=postgres PGDATABASE=postgres": "no authentication method is found",
        "PGDATABASE=pgbouncer": "not allowed",
    }.items():
        said = repaired.do("s1", f"{GIVEN}export {change}\npsql -XAtc 'SELECT 1' 2>&1", code=2)
        assert words in said, change


def test_a_killed_pooler_is_back_in_seconds_and_postgresql_runs_on(right):
    database = process(right, POSTGRESQL)
    for _ in range(2):
        before = process(right, pooler.UNIT)
        begin = time.monotonic()
        right.do("bbdd", f"kill -KILL {before}")
        wait_for("all to answer", lambda: all_answer(right), BACK_SECONDS)
        print(f"\nthe pooler was killed: all answer after {time.monotonic() - begin:.1f} s")
        assert process(right, pooler.UNIT) not in (0, before)
    assert process(right, POSTGRESQL) == database


def test_one_that_hangs_is_restarted_by_deploy_and_one_that_is_stopped_stops_at_once(right):
    before = process(right, pooler.UNIT)
    right.do("bbdd", f"kill -STOP {before}")
    assert f"restart {pooler.UNIT}" in right.fab("database.deploy").out
    assert process(right, pooler.UNIT) not in (0, before)
    wait_for("all to answer", lambda: all_answer(right))
    # With clients that stay: none of them would leave.
    begin = time.monotonic()
    right.do("bbdd", f"systemctl stop {pooler.UNIT}")
    assert time.monotonic() - begin < BACK_SECONDS
    assert right.do("bbdd", "systemctl --failed --no-legend") == ""
    right.fab("database.deploy")


def test_a_killed_postgresql_is_found_again_at_once(right):
    before, mine = process(right, POSTGRESQL), process(right, pooler.UNIT)
    right.do("bbdd", f"kill -KILL {before}")
    running = f"systemctl is-active {POSTGRESQL}"
    wait_for(
        "another PostgreSQL",
        lambda: (
            process(right, POSTGRESQL) not in (0, before)
            and right.do("bbdd", running, code=None) == "active\n"
        ),
    )
    begin = time.monotonic()
    wait_for("all to answer", lambda: all_answer(right), BACK_SECONDS)
    print(f"\nPostgreSQL was killed: all answer {time.monotonic() - begin:.1f} s after its start")
    assert process(right, pooler.UNIT) == mine


def test_what_the_process_holds_otherwise_is_named_and_taken_back_and_nobody_is_cut_off(right):
    wait_for("all to answer", lambda: all_answer(right))
    before, there = process(right, pooler.UNIT), clients(right)
    right.do("bbdd", f"{CONSOLE} 'SET max_client_conn = 20'")
    right.do("bbdd", f"sed -i 's/_size=.*/_size=9/' {pooler.CONFIGURATION}")
    right.do("bbdd", f"systemctl reload {pooler.UNIT}; {CONSOLE} 'SET max_client_conn = 20'")
    (check,) = wrong(places.CONFIG)
    assert check.name == ROOM and "the pooler takes 20, and its pool has 9 by" in check.seen
    right.do("bbdd", f"sed -i 's/_size=.*/_size=165/' {pooler.CONFIGURATION}")
    (said, reload) = [action for _, action in right.planned()]
    assert said == (
        "have the pooler hold what its file says, in place of "
        "crm = host=/run/postgresql port=5432 pool_mode=session pool_size=9, max_client_conn = 20"
    )
    assert reload == f"reload {pooler.UNIT}"
    right.fab("deploy")
    assert process(right, pooler.UNIT) == before and there <= clients(right)


@pytest.fixture
def transactions(right, tmp_path):
    """Deploy with connections that are given back behind each transaction, until the test ends."""
    entries = right.entries
    entries["APPLICATION"]["pool"] = "transaction"
    config = places.write(entries, tmp_path / "config.py")
    right.fab("deploy", config=config, limit=120)
    yield config
    right.fab("deploy", limit=120)


def test_of_transactions_many_clients_need_few_connections_and_what_they_prepare_is_theirs(
    right, transactions
):
    assert "0 changes" in right.fab("deploy", config=transactions).out
    (pool,) = [row for row in console(right, "SHOW DATABASES") if row["name"] == "crm"]
    size = int(pool["pool_size"])
    assert pool["pool_mode"] == "transaction" and 10 <= size < 120
    program = Path(__file__).with_name("prepares.py").read_text()
    count = 2 * size
    with traffic(right.scenario) as running:
        said = right.do("s1", f"{GIVEN}python3 - {count} <<'END'\n{program}\nEND")
    report = running.report
    at_once, of_one = map(int, said.split())
    print(f"\n{count} clients had {at_once} connections, one of them {of_one}; {report}")
    assert 1 < of_one <= at_once <= size
    assert report.written and not report.errors and not report.lost, report
    held = right.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'crm'")
    assert int(held) <= size
    assert wrong(transactions) == []
