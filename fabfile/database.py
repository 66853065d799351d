"""The database tier: PostgreSQL, which only the app servers can reach.

It listens on the machine's LAN4 address and the local socket. The password stays on the person's
computer and the app servers; this machine gets what PostgreSQL stores of it.
"""

from __future__ import annotations

from fabfile.engine.change import Resource
from fabfile.engine.resources import Packages, Run, Service
from fabfile.scenario import Machine, Scenario
from fabfile.scenario.credentials import scram_verifier
from fabfile.templates import template
from fabfile.view import View

# The version of Debian 12.
CLUSTER = "/etc/postgresql/15/main"
UNIT = "postgresql@15-main.service"
# Not /usr/bin/psql: that is a Perl script, which looks for a cluster for longer than psql works.
PSQL = "/usr/lib/postgresql/15/bin/psql"


def url(scenario: Scenario) -> str:
    """Answer the DATABASE_URL of the app servers, password included."""
    role, password = scenario.application.database, scenario.secret("database_password")
    host = scenario.tier("database")[0].address("lan4")
    return f"postgresql://{role}:{password}@{host}:5432/{role}"


def desired(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what the database server looks like."""
    settings = template(
        f"{CLUSTER}/conf.d/crm.conf", owner="postgres", group="postgres", machine=machine
    )
    access = template(
        f"{CLUSTER}/pg_hba.conf",
        mode=0o640,
        owner="postgres",
        group="postgres",
        # All of them: the one that ran before serves until the next one does.
        names=sorted(application.database for application in scenario.applications),
        servers=scenario.tier("app"),
    )
    order = template("/etc/systemd/system/postgresql@.service.d/crm.conf")
    return [
        Packages("postgresql"),
        order,
        settings,
        access,
        Service(UNIT, restart=(settings.key, order.key), reload=(access.key,)),
        _role(scenario),
        _database(scenario),
    ]


def view(scenario: Scenario, machine: Machine) -> View:
    """Answer what `status` shows of the database server: the connections of each app server."""
    servers = ", ".join(
        f"({number}, '{server.name}', '{server.address('lan4')}')"
        for number, server in enumerate(scenario.tier("app"))
    )
    # The listing keeps the order of config.py, and a server without a connection.
    query = (
        "SELECT name || ': ' || count(pid) || ' connections' "
        f"FROM (VALUES {servers}) AS server (number, name, address) "
        "LEFT JOIN pg_stat_activity ON host(client_addr) = address "
        "GROUP BY number, name ORDER BY number;"
    )
    return View((UNIT,), _sql(query))


def _role(scenario: Scenario) -> Run:
    role = scenario.application.database
    verifier = scram_verifier(scenario.secret("database_password"), role)
    return Run(
        f"set up the database role {role}",
        _sql(
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') "
            f'THEN CREATE ROLE "{role}"; END IF; END $$;\n'
            f'ALTER ROLE "{role}" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION '
            f"PASSWORD '{verifier}';"
        ),
        unless=_holds(
            f"SELECT FROM pg_authid WHERE rolname = '{role}' AND rolpassword = '{verifier}' "
            "AND rolcanlogin AND NOT (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication)"
        ),
    )


def _database(scenario: Scenario) -> Run:
    database = scenario.application.database
    return Run(
        f"create the database {database}",
        _sql(
            f'CREATE DATABASE "{database}" OWNER "{database}" TEMPLATE template0 '
            "ENCODING 'UTF8' LOCALE 'C.UTF-8';"
        )
        + _sql(f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC;'),
        unless=_holds(f"SELECT FROM pg_database WHERE datname = '{database}'"),
    )


def _sql(statements: str) -> str:
    """Answer shell that runs statements as PostgreSQL's administrator, given on standard input."""
    psql = f"{PSQL} -qAtX -v ON_ERROR_STOP=1"
    return f"cd / && runuser -u postgres -- {psql} <<'SQL'\n{statements}\nSQL\n"


def _holds(query: str) -> str:
    """Answer a shell condition: the query, which begins with SELECT FROM, finds a row."""
    found = _sql(query.replace("SELECT FROM", "SELECT 'found' FROM", 1) + ";")
    return f'[ "$({found})" = found ]'
