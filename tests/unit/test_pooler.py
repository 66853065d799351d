"""The pooler before PostgreSQL: what is made of how it is, and what the application is told."""

import hashlib
import subprocess
from dataclasses import replace

import pytest

from fabfile.engine.change import Refused
from fabfile.engine.resources import Never
from fabfile.tiers.app import state as app
from fabfile.tiers.database import cluster, pooler, pooling

MEMORY = 4_000_000
HEADS = {
    "config": "key|value|default|changeable",
    "databases": "name|host|port|database|force_user|pool_size|min_pool_size|pool_mode|paused",
}
POOLS = """\
database|user|cl_active|cl_waiting|sv_active|sv_idle|sv_used|sv_tested|sv_login|maxwait
crm|crm|3|2|3|1|0|0|1|0
pgbouncer|pgbouncer|1|0|0|0|0|0|0|0
type|user|database|state|addr|port
C|crm|crm|active|10.1.4.11|4000
C|crm|crm|active|10.1.4.12|4001
C|crm|crm|active|10.1.4.12|4002
C|pgbouncer|pgbouncer|active|unix|6432
"""


@pytest.fixture
def configuration(scenario):
    """Give a function that answers the resource for a way of pooling of all applications."""

    def configuration(pool: str = "session") -> pooler.Configuration:
        changed = [replace(each, pool=pool) for each in scenario.applications]
        wanted = replace(scenario, application=changed[0], applications=tuple(changed))
        found = pooler.desired(wanted, wanted.machine("bbdd"))
        (one,) = [each for each in found if isinstance(each, pooler.Configuration)]
        return one

    return configuration


def console(content: str, **other: str) -> str:
    """Return what the console says when it holds what a file says, but for some of it."""
    rows, databases = [HEADS["config"]], [HEADS["databases"]]
    for name, value in pooler.ENTRY.findall(content):
        if value.startswith("host="):
            known = dict(pair.split("=") for pair in other.get(name, value).split())
            mode, size = known["pool_mode"], known["pool_size"]
            databases.append(f"{name}|{known['host']}|{known['port']}|{name}||{size}|0|{mode}|0")
        else:
            # Each in the place of a default.
            changeable = "no" if name.startswith(("listen", "unix")) else "yes"
            rows.append(f"{name}|{other.get(name, value)}||{changeable}")
    return "\n".join([*rows, *databases, ""])


def facts(content: str, said: str, cores: int = 0) -> str:
    digest = hashlib.sha256(content.encode()).hexdigest()
    file = f"regular file|640 postgres postgres\n{digest}\n"
    return f"{cores} {MEMORY}\n{file}\n{pooler.MARK}\n{said}"


def test_what_holds_is_left_alone(configuration):
    one = configuration()
    content = one.content(0)
    assert "crm = host=/run/postgresql port=5432 pool_mode=session pool_size=165" in content
    assert one.plan(facts(content, console(content)), set()) is None
    # One that does not answer is the service's to start.
    assert one.plan(facts(content, ""), set()) is None


@pytest.mark.parametrize(
    ("other", "restart"),
    [
        ({"max_client_conn": "20"}, False),
        ({"crm": "host=/run/postgresql port=5432 pool_mode=session pool_size=9"}, False),
        ({"listen_addr": "localhost"}, True),
        ({"listen_backlog": "128", "tcp_keepidle": "0"}, True),
    ],
)
def test_what_the_process_holds_otherwise_is_said_and_needs_as_little_as_can_be(
    configuration, other, restart
):
    one = configuration()
    content = one.content(0)
    change = one.plan(facts(content, console(content, **other)), set())
    assert change.key == (one.restart_key if restart else one.key)
    assert all(f"{name} = {value}" in change.summary for name, value in other.items())
    # The file of before.
    change = one.plan(facts(f"{content}\n", console(content, **other)), set())
    assert change.key == (one.restart_key if restart else one.key)
    assert change.summary == f"change {pooler.CONFIGURATION}"


def test_of_transactions_as_many_run_at_once_as_the_machine_can_take(configuration):
    one = configuration("transaction")
    written = one.content(16)
    assert "pool_mode=transaction pool_size=16" in written
    assert one.plan(facts(written, console(written), cores=2), set()) is None
    change = one.plan(facts(written, console(written), cores=4), set())
    assert (change.key, b"pool_size=32" in change.files["file"]) == (one.key, True)
    # There each would have to set the name of its client again and again.
    assert "application_name_add_host" not in written
    assert "application_name_add_host" in configuration().content(0)


def test_its_probe_reads_all_that(machine, configuration):
    said = machine.facts(configuration("transaction"))
    cores, memory = said.splitlines()[0].split()
    assert int(cores) >= 1 and int(memory) > 100_000
    assert f"\n{pooler.MARK}\n" in said


@pytest.mark.parametrize(
    ("pool", "system", "refused"),
    [
        ("transaction", "debian 12", True),
        ("transaction", "debian 13", False),
        ("session", "debian 12", False),
    ],
)
def test_transactions_need_a_pooler_that_knows_prepared_statements(scenario, pool, system, refused):
    application = replace(scenario.application, pool=pool)
    wanted = replace(scenario, application=application, systems={"bbdd": system})
    found = pooler.beforehand(wanted, wanted.machine("bbdd"))
    never = [each for each in found if isinstance(each, Never)]
    assert bool(never) is refused
    for each in never:
        with pytest.raises(Refused, match=r"PgBouncer 1\.18 of Debian 12: give this machine Debia"):
            each.plan("holds\n", set())


def test_the_application_finds_the_pooler_and_its_commands_go_past_it(scenario):
    given = app.environment(scenario)
    assert given["PGPORT"] == "6432" and ":6432/" in given["DATABASE_URL"]
    exported = app.exported(scenario, {})
    assert "PGPORT=5432\n" in exported and ":5432/" in exported and "6432" not in exported


def test_what_status_shows(tmp_path):
    (tmp_path / "said").write_text(POOLS)
    library = f"version=17\n{cluster.SHELL}\n{pooler.SHELL}"
    library += f"ask_pooler() {{ cat >/dev/null; cat {tmp_path}/said; }}\n"
    script = f"{library}pool_shown s1=10.1.4.11 s2=10.1.4.12 s3=10.1.4.13"
    done = subprocess.run(["sh", "-eu"], input=script, capture_output=True, text=True, timeout=20)
    assert done.stdout.splitlines() == [
        "pooler: 5 clients, 5 connections to PostgreSQL, 2 waiting",
        "s1: 1 connection",
        "s2: 2 connections",
        "s3: 0 connections",
    ], done.stderr
    tables = pooler.read(POOLS)
    found = pooling.connections(pooling.Console(tables, 1), "crm")
    assert found == {"10.1.4.11": 1, "10.1.4.12": 2}
