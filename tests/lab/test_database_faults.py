"""The database server when a stranger is in its place, its process dies, or its data is gone."""

import re
import sys
import time

import pytest

from fabfile.scenario import load
from fabfile.tiers.database import checks as checks_of_the_database
from fabfile.verify import _site
from tests.lab import places
from tests.lab.commands import as_root, wait_for
from tests.lab.places import VERSION
from tests.lab.scaled import machines

UNIT = f"postgresql@{VERSION}-main"
DATA = f"/var/lib/postgresql/{VERSION}/main"
OTHER = f"postgresql@{VERSION}-other"


@pytest.fixture
def stranger(repaired):
    """Give a cluster of somebody else's that has taken our port while ours was stopped."""
    repaired.do(
        "bbdd",
        f"systemctl stop {UNIT}; pg_createcluster {VERSION} other -p 5432\nsystemctl start {OTHER}",
    )
    yield repaired
    repaired.do("bbdd", f"pg_dropcluster --stop {VERSION} other")
    repaired.fab("deploy", limit=240)


def test_a_strangers_cluster_on_our_port_is_named_and_left_alone(stranger, tmp_path):
    def refused():
        done = stranger.fab("deploy", code=1)
        assert f"bbdd: port 5432 is taken by postgres (process {pid()}" in done.text, done.text
        assert f"of {OTHER}.service)" in done.text and "choose another port: PORTS in" in done.text
        assert "Nothing was changed." in done.text
        assert stranger.do("bbdd", f"systemctl is-active {UNIT}", code=None) != "active"

    def pid():
        return stranger.do("bbdd", f"systemctl show -P MainPID {OTHER}").strip()

    refused()
    # One that listens on no address has the socket that goes with the port.
    settings = f"/etc/postgresql/{VERSION}/other/postgresql.conf"
    local = f"echo \"listen_addresses = ''\" >>{settings}; systemctl restart {OTHER}"
    assert stranger.do("bbdd", f"{local}; ss -Hltn 'sport = :5432'") == ""
    refused()

    entries = stranger.entries
    entries["PORTS"]["database"] = 5433
    config = places.write(entries, tmp_path / "config.py")
    stranger.fab("deploy", config=config, limit=240)
    assert "0 changes" in stranger.fab("deploy", config=config).out
    stranger.await_answer()
    with _site(load(config)) as site:
        wrong = [check for check in checks_of_the_database.checks(site) if not check.ok]
    assert wrong == []
    ask = f"cd / && runuser -u postgres -- psql --cluster {VERSION}/other -XAtc"
    assert stranger.do("bbdd", f"{ask} 'SELECT rolname FROM pg_roles WHERE rolcanlogin'") == (
        "postgres\n"
    )
    assert "crm" not in stranger.do("bbdd", f"{ask} 'SELECT datname FROM pg_database'")


def pid_of(lab):
    """Return the process that is PostgreSQL's main one, 0 for none."""
    return int(lab.do("bbdd", f"systemctl show -P MainPID {UNIT}"))


def await_database(lab, what, begun):
    """Wait until PostgreSQL answers, and tell how long that took since `begun`."""
    wait_for(what, lambda: lab.sql("SELECT 1") == "1")
    print(f"{what}: {time.monotonic() - begun:.1f} s")


def test_a_killed_postgresql_comes_back_by_itself_each_time(repaired):
    for number in range(1, 4):
        wait_for("a main process", lambda: pid_of(repaired) > 1)
        before, begun = pid_of(repaired), time.monotonic()
        repaired.do("bbdd", f"kill -KILL {before}")
        wait_for("another main process", lambda: pid_of(repaired) not in (0, before))  # noqa: B023
        await_database(repaired, f"PostgreSQL after kill {number}", begun)
    assert repaired.planned() == []


def test_a_postgresql_that_hangs_is_restarted_by_deploy(repaired):
    before = pid_of(repaired)
    repaired.do("bbdd", f"kill -STOP {before}")
    assert ("bbdd", f"restart {UNIT}.service") in repaired.planned()
    repaired.fab("deploy")
    assert pid_of(repaired) not in (0, before)
    repaired.assert_nothing_to_do()


def test_who_stops_postgresql_finds_it_stopped(repaired):
    for stop in (
        f"systemctl stop {UNIT}",
        f"runuser -u postgres -- pg_ctlcluster {VERSION} main stop",
    ):
        repaired.do("bbdd", f"cd / && {stop} 2>&1")
        # One that is to be started again is "activating" until then.
        state = f"systemctl is-active {UNIT}"
        wait_for(stop, lambda: repaired.do("bbdd", state, code=None) == "inactive\n")  # noqa: B023
        planned = repaired.planned()
        assert ("bbdd", f"start {UNIT}.service") in planned, planned
        repaired.fab("deploy", limit=120)
    repaired.await_answer()


@pytest.fixture
def small_disk(repaired):
    """Have PostgreSQL write its log of changes to a file system of its own, of 200 MiB."""
    repaired.do(
        "bbdd",
        f"systemctl stop {UNIT}; cd {DATA}; mv pg_wal /var/lib/postgresql/wal; mkdir pg_wal\n"
        "mount -t tmpfs -o size=200m wal pg_wal; cp -a /var/lib/postgresql/wal/. pg_wal/\n"
        f"chown postgres: pg_wal; chmod 700 pg_wal; systemctl start {UNIT}",
    )
    yield repaired
    repaired.do(
        "bbdd",
        f"systemctl stop {UNIT}; cd {DATA}; rm -f pg_wal/filler\n"
        "find /var/lib/postgresql/wal -mindepth 1 -delete\n"
        "cp -a pg_wal/. /var/lib/postgresql/wal/; umount pg_wal; rmdir pg_wal\n"
        f"mv /var/lib/postgresql/wal pg_wal; systemctl start {UNIT}",
    )


def test_postgresql_comes_back_when_a_full_disk_has_space_again(small_disk):
    small_disk.do("bbdd", f"head -c 300M /dev/zero >{DATA}/pg_wal/filler 2>/dev/null || :")
    statement = "CREATE TABLE filling AS SELECT repeat('x', 1000) FROM generate_series(1, 100000)"
    with pytest.raises(AssertionError, match="server closed the connection"):
        small_disk.sql(statement)
    begun = time.monotonic()
    small_disk.do("bbdd", f"rm {DATA}/pg_wal/filler")
    await_database(small_disk, "PostgreSQL after there is space again", begun)


REFUSAL = (
    rf"bbdd has no database crm, and {places.NAME} has had one since "
    r"20\d\d-\d\d-\d\d .* UTC, as "
)


def refused(lab, *words):
    """Have a command refused; return who is said to know of the database."""
    done = lab.fab(*words, code=1, limit=120)
    found = re.search(REFUSAL + r"(.*) can tell: is it the right machine, and its data", done.err)
    assert found and "fab deploy --new-database" in done.err, done.text
    assert done.err.endswith("Nothing was changed.\n"), done.text
    return found[1]


def test_a_data_disk_that_is_not_mounted_is_no_empty_database(repaired):
    repaired.do("bbdd", f"systemctl stop {UNIT}; mv {DATA} {DATA}.away")
    try:
        for words in (["plan"], ["deploy"], ["database.deploy"]):
            assert refused(repaired, *words) == "this computer, s1, s2, s3"
        assert repaired.do("bbdd", f"ls -d {DATA}*") == f"{DATA}.away\n"
        # Said before a machine is made for a new server.
        refused(repaired, "add-server", "--name", "s4")
        assert "s4" not in machines(repaired)
    finally:
        repaired.do("bbdd", f"mv {DATA}.away {DATA}")
    # Now it is one that only does not run.
    repaired.fab("deploy", limit=120)
    repaired.await_answer()


@pytest.fixture
def replaced_data(repaired):
    """Have an empty cluster in the place of ours, both stopped; and ours again behind the test."""
    repaired.do(
        "bbdd",
        f"systemctl stop {UNIT}; mv {DATA} {DATA}.away\n"
        f"initdb=/usr/lib/postgresql/{VERSION}/bin/initdb\n"
        f"cd / && runuser -u postgres -- $initdb -D {DATA} >/dev/null",
    )
    yield repaired
    repaired.do(
        "bbdd",
        f"systemctl stop {UNIT}; find {DATA} -delete; mv {DATA}.away {DATA}\n"
        f"systemctl start {UNIT}",
    )
    # The backups are of the new one by now.
    repaired.invoke("backup.now", "--anew")


def test_a_database_that_is_missed_only_when_postgresql_runs_again_is_not_made(replaced_data):
    # While it is stopped, nobody can tell: it is started as ever, and then the machine refuses.
    done = replaced_data.fab("deploy", code=1, limit=120)
    assert f"start {UNIT}" in done.out
    assert "'find or create the database crm' failed" in done.err, done.text
    assert re.search(REFUSAL + "this computer, s1, s2, s3 can tell", done.err), done.text
    databases = "SELECT datname FROM pg_database WHERE NOT datistemplate"
    assert replaced_data.sql(databases) == "postgres"
    # The one who wants an empty one gets it at once, of a stopped one, too.
    replaced_data.do("bbdd", f"systemctl stop {UNIT}")
    replaced_data.fab("database.deploy", "--new-database", limit=120)
    assert replaced_data.sql(databases).split() == ["postgres", "crm"]


def test_an_empty_machine_in_the_place_of_the_database_is_refused(repaired):
    customers = repaired.sql("SELECT count(*) FROM customers", "crm")
    program = (
        "from pathlib import Path; from fabfile.lab import machines; "
        "from fabfile.scenario import load; machines.remove(load().lab, 'bbdd')"
    )
    as_root(sys.executable, "-c", program, environment=repaired.environment())
    repaired.invoke("lab.up", limit=120)
    assert refused(repaired, "deploy") == "this computer, s1, s2, s3"
    # From another computer, which has never seen it.
    note = places.STATE / "databases.json"
    known = note.read_text()
    note.unlink()
    assert refused(repaired, "deploy") == "s1, s2, s3"
    note.write_text(known)
    # It was the only one; whoever wants to begin again can.
    repaired.fab("deploy", "--new-database", limit=180)
    repaired.assert_nothing_to_do()
    repaired.await_answer()
    assert int(repaired.sql("SELECT count(*) FROM customers", "crm")) <= int(customers)
    assert repaired.sql("SELECT count(*) FROM users WHERE login = 'admin'", "crm") == "1"
