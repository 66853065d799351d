"""The database server: PostgreSQL, which only the app servers reach, each from its own address."""

import json

import pytest

from fabfile.scenario.credentials import scram_verifier
from tests.lab.places import STATE, VERSION

pytestmark = pytest.mark.only_looks

CLUSTER = f"/etc/postgresql/{VERSION}/main"


@pytest.fixture
def bbdd(lab):
    return lab.host("bbdd")


@pytest.fixture
def ask(lab):
    """Give a function that asks PostgreSQL as its administrator."""
    return lab.sql


def test_postgresql_is_debians_and_starts_at_boot(bbdd):
    assert bbdd.package(f"postgresql-{VERSION}").is_installed
    cluster = bbdd.service(f"postgresql@{VERSION}-main")
    assert cluster.is_running
    # At each boot Debian's generator enables the clusters, for as long as it lasts.
    enabled = bbdd.check_output(f"systemctl is-enabled postgresql@{VERSION}-main")
    assert enabled in ("enabled", "enabled-runtime")
    assert bbdd.service("postgresql").is_enabled


@pytest.mark.parametrize("port", [5432, 6432])
def test_it_and_its_pooler_listen_on_lan4_and_the_local_socket_only(lab, bbdd, port):
    listening = bbdd.check_output(f"ss -Hltnp '( sport = :{port} )'")
    addresses = [line.split()[3] for line in listening.splitlines()]
    assert addresses == [f"{lab.address('bbdd', 'lan4')}:{port}"]
    socket = bbdd.check_output(f"ss -Hlx | grep -c 'postgresql/.s.PGSQL.{port} '")
    assert socket == "1"


def test_one_host_line_for_each_app_server_and_nothing_else_from_the_network(lab, ask):
    lines = [
        line.split()
        for line in lab.do("bbdd", f"grep -v '^ *#' {CLUSTER}/pg_hba.conf").splitlines()
        if line.strip()
    ]
    remote = [line for line in lines if line[0] != "local"]
    wanted = [f"{lab.address(name, 'lan4')}/32" for name in lab.apps]
    assert remote == [["host", "crm", "crm", address, "scram-sha-256"] for address in wanted]
    # The pooler comes by the socket, with what an application has proved to it.
    local = [line[1:] for line in lines if line[0] == "local"]
    assert local == [
        ["all", "postgres", "peer"],
        ["crm", "crm", "scram-sha-256"],
        ["all", "all", "peer"],
    ]
    # What the running server has read, not just what stands in the file.
    loaded = ask("SELECT type, auth_method FROM pg_hba_file_rules WHERE type <> 'local'")
    assert loaded.splitlines() == ["host|scram-sha-256"] * len(wanted)
    assert ask("SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL") == "0"


def test_pg_hba_conf_is_readable_by_postgresql_only(bbdd):
    file = bbdd.file(f"{CLUSTER}/pg_hba.conf")
    assert (file.mode, file.user, file.group) == (0o640, "postgres", "postgres")


def test_the_role_may_log_in_and_nothing_more(ask):
    rights = "rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
    assert ask(f"SELECT {rights} FROM pg_roles WHERE rolname = 'crm'") == "t|f|f|f|f|f"
    assert (
        ask(
            "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member "
            "WHERE r.rolname = 'crm'"
        )
        == "0"
    )


def test_the_database_belongs_to_the_role_and_is_closed_to_others(ask):
    owner = "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding) FROM pg_database"
    assert ask(f"{owner} WHERE datname = 'crm'") == "crm|UTF8"
    rights = "SELECT has_database_privilege('public', 'crm', 'CONNECT')"
    assert ask(rights) == "f"


def test_the_password_is_stored_as_scram_of_ours(ask):
    password = json.loads((STATE / "secrets.json").read_text())["database_password"]
    stored = ask("SELECT rolpassword FROM pg_authid WHERE rolname = 'crm'")
    assert stored == scram_verifier(password, "crm")
    assert ask("SHOW password_encryption") == "scram-sha-256"


def test_settings_are_in_a_file_of_ours_and_the_packaged_one_is_untouched(lab, bbdd, ask):
    ours = f"{CLUSTER}/conf.d/crm.conf"
    source = ask("SELECT sourcefile FROM pg_settings WHERE name = 'listen_addresses'")
    assert source == ours
    # What the package made, before anything of ours was there, is in the machine's image.
    path = f"{CLUSTER}/postgresql.conf"
    assert bbdd.file(path).content == lab.in_image("bbdd", path)
    assert (
        ask(
            "SELECT count(*) FROM pg_file_settings "
            f"WHERE sourcefile NOT IN ('{ours}', '{CLUSTER}/postgresql.conf')"
        )
        == "0"
    )


@pytest.mark.parametrize(
    ("port", "words"),
    [(5432, "no pg_hba.conf entry"), (6432, "no authentication method is found")],
    ids=["PostgreSQL", "pooler"],
)
def test_an_app_server_gets_in_and_a_storage_server_does_not(lab, port, words):
    address = lab.address("bbdd", "lan4")
    attempt = f"PGCONNECT_TIMEOUT=5 psql -w -h {address} -p {port} -U crm crm -c 'SELECT 1' 2>&1"
    # Without a password: it is the list of addresses that is asked about.
    assert "no password supplied" in lab.do("s1", attempt, code=None)
    body = "struct.pack('!I', 196608) + b'user\\0crm\\0database\\0crm\\0\\0'"
    hello = (
        f"import socket, struct; body = {body}; "
        f"connection = socket.create_connection(('{address}', {port}), 5); "
        "connection.sendall(struct.pack('!I', len(body) + 4) + body); print(connection.recv(999))"
    )
    assert words in lab.do("nas1", f'python3 -c "{hello}"')
