"""The app tier: the application's releases, its mounted volume and its service."""

from __future__ import annotations

import shlex

from fabfile import database, release
from fabfile.engine.change import Resource
from fabfile.engine.resources import Directory, Link, Packages, Run, Service, Unpacked, User
from fabfile.scenario import Machine, Scenario
from fabfile.storage import VOLUME
from fabfile.templates import template

MOUNT = "/mnt/nas"
MOUNT_UNIT = "mnt-nas.mount"


def home(scenario: Scenario) -> str:
    """Answer the directory of the application: its releases, and `current`."""
    return f"/srv/{scenario.application.name}"


def desired(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what an app server needs before it has anything to do with the other tiers."""
    name = scenario.application.name
    return [
        Packages("glusterfs-client", "postgresql-client", *scenario.application.packages),
        User(name, scenario.application.uid, home(scenario)),
        Directory(home(scenario)),
        Directory(f"{home(scenario)}/releases"),
        # The mount point of the uploads: root's, so that nothing lands on the local disk.
        Directory(f"{home(scenario)}/uploads", mode=0o555),
        template(
            f"/etc/crm-deployer/{name}.env",
            source="/etc/crm-deployer/application.env",
            mode=0o600,
            secret=True,
            variables=_environment(scenario),
        ),
    ]


def built(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what the app server that builds the release holds: the first, as good as any."""
    name = scenario.application.name
    return [
        Unpacked(
            _directory(scenario),
            lambda: release.archive(scenario),
            scenario.application.build,
            name,
        )
    ]


def shipped(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what the other app servers hold: what the first has built."""
    builder = scenario.tier("app")[0]
    return [Unpacked(_directory(scenario), lambda: release.fetch(builder, _directory(scenario)))]


def mount(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say how an app server mounts the volume: from the first storage server that answers."""
    servers = [server.address("lan4") for server in scenario.tier("storage")]
    unit = template(
        f"/etc/systemd/system/{MOUNT_UNIT}", servers=servers, volume=VOLUME, where=MOUNT
    )
    name = scenario.application.name
    uploads = f"{MOUNT}/{name}"
    return [
        unit,
        Service(
            MOUNT_UNIT,
            restart=(unit.key,),
            ready=f"mountpoint -q {MOUNT}",
            alive=f"mountpoint -q {MOUNT}",
        ),
        Directory(uploads, mode=0o750, owner=name, group=name, within=MOUNT),
    ]


def migrated(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what the database holds of the application; done on one app server only."""
    steps = []
    identifier = release.identifier(scenario)
    if scenario.application.migrate:
        steps.append(("migrate", f"migrate {identifier}", scenario.application.migrate))
    if scenario.application.seed:
        steps.append(("seed", "seed", scenario.application.seed))
    return [
        Run(
            f"{word} the database for the application",
            _in_release(scenario, command) + _record(scenario, what),
            unless=_recorded(scenario, what),
            seconds=600,
        )
        for word, what, command in steps
    ]


def serving(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what an app server looks like when it answers."""
    name = scenario.application.name
    unit = template(
        f"/etc/systemd/system/{name}.service",
        source="/etc/systemd/system/application.service",
        application=scenario.application,
        home=home(scenario),
        mount=MOUNT,
        mount_unit=MOUNT_UNIT,
        port=scenario.ports["app"],
        allowed=[
            scenario.tier("balancer")[0].address("lan3"),
            scenario.tier("database")[0].address("lan4"),
        ],
    )
    current = Link(f"{home(scenario)}/current", f"releases/{release.identifier(scenario)}")
    environment = f"/etc/crm-deployer/{name}.env"
    return [
        unit,
        current,
        Service(
            f"{name}.service",
            # A new mount is not the one that its uploads are bound to.
            restart=(unit.key, current.key, environment, f"service {MOUNT_UNIT}"),
            ready=_healthy(scenario.ports["app"], scenario.application.health),
        ),
    ]


def _directory(scenario: Scenario) -> str:
    return f"{home(scenario)}/releases/{release.identifier(scenario)}"


def _environment(scenario: Scenario) -> dict[str, str]:
    return {
        **scenario.application.environment,
        "DATABASE_URL": database.url(scenario),
        "SECRET_KEY": scenario.secret("application_key"),
        "UPLOADS": f"{home(scenario)}/uploads",
        "PORT": str(scenario.ports["app"]),
    }


def _in_release(scenario: Scenario, command: str) -> str:
    """Answer shell that runs a command of the application in the release, as its user."""
    name = scenario.application.name
    # Only the seed reads it; printf is the shell's own, so it is in no process list.
    password = scenario.secret("administrator_password")
    return (
        f"set -a; . /etc/crm-deployer/{name}.env; ADMIN_PASSWORD={shlex.quote(password)}; set +a\n"
        f"cd {_directory(scenario)}\nrunuser -u {name} -- sh -c {shlex.quote(command)}\n"
    )


def _psql(scenario: Scenario, statement: str) -> str:
    host = scenario.tier("database")[0].address("lan4")
    name = database.name(scenario)
    password = shlex.quote(scenario.secret("database_password"))
    return (
        f"PGPASSWORD={password} PGCONNECT_TIMEOUT=5 PGOPTIONS='-c client_min_messages=warning' "
        f"psql -qAtX -v ON_ERROR_STOP=1 -h {host} -U {name} {name} <<'SQL'\n{statement}\nSQL\n"
    )


def _record(scenario: Scenario, what: str) -> str:
    """Answer shell that notes in the database what was done: it holds for all servers, for good."""
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


def _healthy(port: int, path: str) -> str:
    """Answer a shell condition: the health path answers 200 here. Bash opens the port."""
    request = f"GET {path} HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n"
    script = (
        f"exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{request}' >&3; "
        "IFS= read -r line <&3; echo \"$line\"; [[ $line == *' 200 '* ]]"
    )
    return f"timeout 6 bash -c {shlex.quote(script)}"
