"""What the application has in the database: migrated for each release, seeded once ever.

What was done is noted in the database itself, so it holds for all servers and for good. Two deploys
exclude each other by the scenario's lock. Each step holds one in the database, too, for what that
one does not cover: the step of a deploy that was killed, which goes on on its server, and computers
that keep the scenario's lock on different machines, since they do not reach the same ones.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

from fabfile.engine.change import Change, Resource
from fabfile.engine.resources import Run
from fabfile.engine.survey import Survey
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.app import release
from fabfile.tiers.app import state as app
from fabfile.tiers.database import cluster
from fabfile.tiers.storage import repository

# pg_advisory_lock(bigint): any number does that nobody else uses in this database.
LOCK = 2017
SECONDS = 600
# What psql is told by its environment.
OPTIONS = {
    "PGPASSWORD": "",
    "PGCONNECT_TIMEOUT": "5",
    "PGOPTIONS": "-c client_min_messages=warning",
}
# What is noted when a release's migration begins, to find the way back to before it.
BEFORE = "before migrate"
# What is said in place of what was done, when the database cannot be asked: psql ends with 2 then.
SILENT = "nobody answers"


@dataclass(frozen=True)
class Step(Run):
    """A step that was done or not, which nobody can tell as long as the database is silent."""

    database: str = ""  # the machine

    def probe(self) -> str:
        """Print what any other command does, and `silent` when the database cannot be asked."""
        return f"{super().probe()}\n! has_line \"$recorded\" '{SILENT}' || echo silent"

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Do it unless it was done; the change looks again before it does."""
        change = super().plan(facts, changed)
        if not change or "silent" not in facts.splitlines():
            return change
        why = f"{self.database} cannot be asked now"
        return replace(change, summary=f"look again whether to {change.summary}: {why}")


def migrated(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what the database holds of the application; done on one app server only."""
    application, identifier = scenario.application, release.identifier(scenario)
    first = {
        "ADMIN_LOGIN": application.administrator,
        "ADMIN_PASSWORD": scenario.secret("administrator_password"),
    }
    token = {"API_TOKEN": scenario.secret("api_token")} if application.secure else {}
    # It holds for this login, which follows from the password: a new one makes a new account.
    login = scenario.checks_login if application.checks else ""
    password = scenario.secret("checks_password") if application.checks else ""
    checks = {"CHECKS_LOGIN": login, "CHECKS_PASSWORD": password}
    steps: tuple[tuple[str, str, str, Mapping[str, str]], ...] = (
        ("migrate the database", f"migrate {identifier}", application.migrate, {}),
        ("seed the database", "seed", application.seed, first),
        ("replace the public accounts", "secure", application.secure, {**first, **token}),
        ("make the account of the checks", f"account {login}", application.checks, checks),
    )
    recorded = Survey(
        "recorded",
        f"{_connection(scenario)} <<'SQL' || [ $? != 2 ] || echo '{SILENT}'\n"
        "SELECT what FROM deployer.done;\nSQL\n",
    )
    silent = " or ".join(each.name for each in scenario.tier("database"))
    return [
        Step(
            f"{words} of {application.name}",
            (_way_back(scenario) if command == application.migrate else "") + _locked(scenario),
            unless=_recorded(scenario, what),
            files={"step": _once(scenario, what, command, variables).encode()},
            told=(recorded, what),
            seconds=SECONDS,
            database=silent,
        )
        for words, what, command, variables in steps
        if command
    ]


def _once(scenario: Scenario, what: str, command: str, variables: Mapping[str, str]) -> str:
    """Return shell that does and notes a step, unless someone did while it waited for the lock."""
    of_release = command == scenario.application.migrate
    before = _record(scenario, f"{BEFORE} {release.identifier(scenario)}") if of_release else ""
    return (
        # The first one finds no table to ask.
        f"if ! {{ {_recorded(scenario, what)}\n}} 2>/dev/null; then\n"
        f"{before}{_in_release(scenario, command, variables)}{_record(scenario, what)}fi\n"
    )


def _way_back(scenario: Scenario) -> str:
    """Return shell that says how the database is brought back to before a migration."""
    if not repository.keepers(scenario):
        return ""
    # Of a database that is still empty, nobody wants it back; nor is there anybody to tell.
    now = "SELECT DISTINCT date_trunc('second', clock_timestamp()) FROM deployer.done;"
    command = """'invoke backup.restore --to "'"$since"'"'"""
    return (
        f"since=$(\n{_psql(scenario, now)}) 2>/dev/null || since=\n"
        f"""[ ! "$since" ] || ! command -v say >/dev/null || say "the way back: "{command}\n"""
    )


def begun(scenario: Scenario) -> str:
    """Return shell that prints when each migration began, in UTC by ISO 8601, and of which release.

    A line each.
    """
    moment = """to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00 "')"""
    what = f"{moment} || split_part(what, ' ', 3)"
    return _psql(scenario, f"SELECT {what} FROM deployer.done WHERE what LIKE '{BEFORE} %';")


def _locked(scenario: Scenario) -> str:
    """Return shell that runs the script "$payload/step" while psql, its parent, holds the lock."""
    return f"""export payload
{_connection(scenario)} <<'SQL'
SELECT pg_advisory_lock({LOCK}) \\g /dev/null
\\! sh -e "$payload/step" </dev/null; echo $? >"$payload/code"
SQL
code=$(cat "$payload/code")
[ "$code" = 0 ] || exit "$code"
"""


def _in_release(scenario: Scenario, command: str, more: Mapping[str, str]) -> str:
    """Return shell that runs a command of the application in the release, as its user."""
    # Not of the environment's file, which is the running release's until this one serves.
    return (
        # It gets what a service gets, and nothing that is psql's, which sets two by itself.
        f"unset payload {' '.join(OPTIONS)} PGLOCALEDIR PGSYSCONFDIR\n"
        f"{app.exported(scenario, more)}cd {app.directory(scenario)}\n"
        f"runuser -u {scenario.application.name} -- sh -c {shlex.quote(command)}\n"
    )


def _connection(scenario: Scenario) -> str:
    host = scenario.database_address
    name, port = scenario.application.database, scenario.ports["database"]
    options = {**OPTIONS, "PGPASSWORD": scenario.secret("database_password")}
    given = " ".join(f"{name}={shlex.quote(text)}" for name, text in options.items())
    psql = cluster.program("psql", scenario.debian(scenario.builder))
    return f"{given} {psql} -qAtX -v ON_ERROR_STOP=1 -h {host} -p {port} -U {name} {name}"


def _psql(scenario: Scenario, statement: str) -> str:
    return f"{_connection(scenario)} <<'SQL'\n{statement}\nSQL\n"


def _record(scenario: Scenario, what: str) -> str:
    """Return shell that notes in the database what was done."""
    return _psql(
        scenario,
        "CREATE SCHEMA IF NOT EXISTS deployer;\n"
        "CREATE TABLE IF NOT EXISTS deployer.done "
        "(what text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());\n"
        f"INSERT INTO deployer.done (what) VALUES ('{what}') ON CONFLICT DO NOTHING;",
    )


def _recorded(scenario: Scenario, what: str) -> str:
    query = f"SELECT 'found' FROM deployer.done WHERE what = '{what}';"
    return f'[ "$({_psql(scenario, query)})" = found ]'
