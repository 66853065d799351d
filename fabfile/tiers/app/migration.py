"""What the application has in the database: migrated for each release, seeded once ever.

What was done is noted in the database itself, so it holds for all servers and for good. Each step
holds a lock there: nobody else does it at the same time, from whichever computer.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from fabfile.engine.change import Resource
from fabfile.engine.resources import Run
from fabfile.engine.survey import Survey
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.app import release
from fabfile.tiers.app import state as app
from fabfile.tiers.database import state as database

# pg_advisory_lock(bigint): any number does that nobody else uses in this database.
LOCK = 2017
SECONDS = 600


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
    return [
        Run(
            f"{words} of {application.name}",
            _once(scenario, what, command, variables),
            unless=_recorded(scenario, what),
            told=(Survey("recorded", _psql(scenario, "SELECT what FROM deployer.done;")), what),
            seconds=SECONDS,
        )
        for words, what, command, variables in steps
        if command
    ]


def _once(scenario: Scenario, what: str, command: str, variables: Mapping[str, str]) -> str:
    """Return shell that does and notes a step, unless someone did while it waited for the lock."""
    return (
        f"{_lock(scenario)}if ! {{ {_recorded(scenario, what)}\n}}; then\n"
        f"{_in_release(scenario, command, variables)}{_record(scenario, what)}fi\n"
    )


def _lock(scenario: Scenario) -> str:
    """Return shell that waits for the lock, which is held until the shell ends, however it does.

    psql has it for as long as its input is open.
    """
    return f"""pipes=$(mktemp -d)
mkfifo "$pipes/in" "$pipes/out"
{_connection(scenario)} <"$pipes/in" >"$pipes/out" 2>&1 &
exec 7>"$pipes/in" 8<"$pipes/out"
rm -r "$pipes"
echo "SELECT 'held' FROM pg_advisory_lock({LOCK});" >&7
IFS= read -r answer <&8 && [ "$answer" = held ] || {{ echo "no lock: $answer"; exit 1; }}
"""


def _in_release(scenario: Scenario, command: str, more: Mapping[str, str]) -> str:
    """Return shell that runs a command of the application in the release, as its user."""
    application = scenario.application
    # Not of the environment's file, which is the running release's until this one serves. An export
    # is the shell's own, so no password is in a process list.
    variables = {**app.environment(scenario), **more}
    exports = "".join(f"export {key}={shlex.quote(text)}\n" for key, text in variables.items())
    return (
        f"{exports}cd {app.directory(scenario)}\n"
        f"runuser -u {application.name} -- sh -c {shlex.quote(command)} 7>&- 8<&-\n"
    )


def _connection(scenario: Scenario) -> str:
    host = scenario.database_address
    name, port = scenario.application.database, scenario.ports["database"]
    psql = database.program("psql", scenario.debian(scenario.builder))
    password = shlex.quote(scenario.secret("database_password"))
    return (
        f"PGPASSWORD={password} PGCONNECT_TIMEOUT=5 PGOPTIONS='-c client_min_messages=warning' "
        f"{psql} -qAtX -v ON_ERROR_STOP=1 -h {host} -p {port} -U {name} {name}"
    )


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
