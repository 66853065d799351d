"""What holds in PostgreSQL is looked at in the running server: it is named, and repaired."""

import pytest

from tests.lab.commands import wait_for
from tests.lab.places import VERSION

UNIT = f"postgresql@{VERSION}-main"
CONF = f"/etc/postgresql/{VERSION}/main/conf.d"
AUTO = f"/var/lib/postgresql/{VERSION}/main/postgresql.auto.conf"
OFFERS = ("migrate the", "seed the", "make the account")


def holds(lab, name):
    return lab.sql(f"SHOW {name}")


def main_process(lab):
    return lab.do("bbdd", f"systemctl show -P MainPID {UNIT}").strip()


def of_bbdd(planned):
    return [action for machine, action in planned if machine == "bbdd"]


def assert_offers_nothing_to_a_database_that_it_cannot_ask(planned):
    offered = [action for _, action in planned if action.startswith(OFFERS)]
    assert offered == []
    looks = [action for machine, action in planned if machine == "s1" and "look again" in action]
    assert looks and all("bbdd cannot be asked now" in action for action in looks)


@pytest.fixture(autouse=True)
def right(repaired):
    """Have nothing to do behind each test, and users served."""
    yield repaired
    repaired.do("bbdd", f"rm -f {CONF}/zz.conf")
    repaired.fab("deploy", limit=120)
    repaired.assert_nothing_to_do()
    repaired.await_answer()


def test_listen_addresses_of_alter_system_is_the_cause_and_is_taken_back(repaired):
    repaired.sql("ALTER SYSTEM SET listen_addresses = 'localhost'")
    repaired.do("bbdd", f"systemctl restart {UNIT}")
    assert holds(repaired, "listen_addresses") == "localhost"
    # They come by the pooler, and that by the socket.
    wait_for("users to be served", lambda: repaired.get("health").status_code == 200)
    planned = repaired.planned()
    assert of_bbdd(planned) == [
        "take back what ALTER SYSTEM has set: listen_addresses = 'localhost' "
        "(the app servers cannot reach it there)",
        f"restart {UNIT}.service",
    ]
    assert_offers_nothing_to_a_database_that_it_cannot_ask(planned)
    done = repaired.fab("deploy", limit=120)
    assert "take back what ALTER SYSTEM has set: listen_addresses" in done.out
    assert holds(repaired, "listen_addresses") == repaired.address("bbdd", "lan4")
    repaired.assert_nothing_to_do()


def test_what_alter_system_has_not_brought_about_yet_needs_no_restart(repaired):
    before = main_process(repaired)
    repaired.sql("ALTER SYSTEM SET max_connections = 20")
    repaired.sql("ALTER SYSTEM SET work_mem = '5MB'")
    planned = repaired.planned()
    assert planned == [
        ("bbdd", "take back what ALTER SYSTEM has set: max_connections = '20'"),
        ("bbdd", f"reload {UNIT}.service"),
    ]
    repaired.fab("deploy")
    repaired.assert_nothing_to_do()
    assert main_process(repaired) == before
    # What is none of ours is a person's own.
    text = repaired.do("bbdd", f"cat {AUTO}")
    assert "max_connections" not in text and "work_mem = '5MB'" in text
    repaired.sql("ALTER SYSTEM RESET work_mem")


def test_what_a_reload_brings_is_reloaded(repaired):
    before = main_process(repaired)
    repaired.sql("ALTER SYSTEM SET password_encryption = 'md5'")
    repaired.sql("SELECT pg_reload_conf()")
    wait_for("md5", lambda: holds(repaired, "password_encryption") == "md5")
    repaired.fab("deploy")
    assert holds(repaired, "password_encryption") == "scram-sha-256"
    assert main_process(repaired) == before


def test_a_postgresql_that_cannot_start_with_it_starts_again(repaired):
    repaired.sql("ALTER SYSTEM SET listen_addresses = '192.0.2.1'")
    repaired.do("bbdd", f"systemctl restart {UNIT} || :")
    running = f"systemctl is-active {UNIT}"
    assert repaired.do("bbdd", running, code=None) != "active\n"
    planned = repaired.planned()
    said = "take back what ALTER SYSTEM has set: listen_addresses = '192.0.2.1'"
    assert said in of_bbdd(planned), planned
    assert_offers_nothing_to_a_database_that_it_cannot_ask(planned)
    repaired.fab("deploy", limit=120)
    assert holds(repaired, "listen_addresses") == repaired.address("bbdd", "lan4")
    repaired.assert_nothing_to_do()


@pytest.mark.parametrize("restarted", [False, True], ids=["waiting", "holding"])
def test_a_file_that_is_read_later_is_named_before_anything_is_changed(repaired, restarted):
    repaired.do("bbdd", f"printf '# mine\\nlisten_addresses = localhost\\n' > {CONF}/zz.conf")
    if restarted:
        repaired.do("bbdd", f"systemctl restart {UNIT}")
    before = main_process(repaired)
    # Whatever else there is to do.
    repaired.do("s2", "systemctl stop crm")
    try:
        for words in (["plan"], ["deploy"], ["database.deploy"]):
            done = repaired.fab(*words, code=1)
            assert done.err == (
                "bbdd: PostgreSQL reads listen_addresses = 'localhost' (the app servers cannot "
                f"reach it there) in {CONF}/zz.conf, line 2, after {CONF}/crm.conf and in its "
                "place: remove that line there\nNothing was changed.\n"
            ), done.text
        assert repaired.do("s2", "systemctl is-active crm", code=None) == "inactive\n"
        assert main_process(repaired) == before
    finally:
        repaired.do("s2", "systemctl start crm")
    repaired.do("bbdd", f"sed -i /listen/d {CONF}/zz.conf")
    if restarted:
        assert of_bbdd(repaired.planned()) == [
            f"have its file's listen_addresses = '{repaired.address('bbdd', 'lan4')}' hold, in "
            "place of listen_addresses = 'localhost' (the app servers cannot reach it there)",
            f"restart {UNIT}.service",
        ]
        repaired.fab("deploy", limit=120)
    repaired.assert_nothing_to_do()


@pytest.mark.parametrize(
    ("statement", "cause", "found"),
    [
        (
            "VALID UNTIL '2020-02-03 04:05:06+00'",
            "its password is valid until 2020-02-03 04:05:06+00",
            "infinity|-1",
        ),
        ("CONNECTION LIMIT 0", "it may have 0 connections at once", "infinity|-1"),
        (
            "VALID UNTIL '2100-01-01 00:00:00+00'",
            "its password is valid until 2100-01-01 00:00:00+00",
            "infinity|-1",
        ),
    ],
    ids=["expired", "no connections", "expires one day"],
)
def test_what_keeps_the_application_out_is_said_and_taken_back(repaired, statement, cause, found):
    repaired.sql(
        f"ALTER ROLE crm {statement}; SELECT pg_terminate_backend(pid) FROM "
        "pg_stat_activity WHERE usename = 'crm'"
    )
    planned = repaired.planned()
    assert of_bbdd(planned) == [f"set up the database role crm: {cause}"]
    if "2100" not in cause:
        assert_offers_nothing_to_a_database_that_it_cannot_ask(planned)
    repaired.fab("deploy", limit=120)
    limits = "SELECT rolvaliduntil, rolconnlimit FROM pg_roles WHERE rolname = 'crm'"
    assert repaired.sql(limits) == found
    repaired.assert_nothing_to_do()
