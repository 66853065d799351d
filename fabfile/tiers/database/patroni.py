"""Patroni: which of several databases is the primary, whom the others follow, and who is next.

What they agree by is etcd on the storage servers. Patroni takes the cluster over as Debian has made
it, with its files and directories; a machine that has none of its own yet, or an empty one, gets a
copy of the primary's. See Patroni's documentation, "Convert a standalone to a Patroni cluster".
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabfile.engine.change import Change, Payload, Resource
from fabfile.engine.resources import File, Never, Run, Service
from fabfile.engine.survey import Survey
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.app.health import works
from fabfile.tiers.database import cluster, limits
from fabfile.tiers.storage import agreement, repository
from fabfile.tiers.templates import template

NAME, OWNER = "database", "postgres"
ROLES = 8008
REPLICATOR, REWINDER = "replicator", "rewinder"
# Below the name of the scenario: what all members share, and the number of their cluster.
NAMESPACE = "/service"
LIBRARY = Path(__file__).with_suffix(".sh").read_text()
# To copy the primary's data, for as long as that takes.
SECONDS = 24 * 3600
# Patroni's documentation, "Dynamic configuration": ttl is 20 at least, and loop_wait +
# 2 * retry_timeout at most that. A primary that is gone is replaced after ttl.
TIMES = {"ttl": 20, "loop_wait": 3, "retry_timeout": 8}
# What PostgreSQL 15, "pg_rewind", has a role need that is no superuser.
REWIND_FUNCTIONS = (
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    "pg_read_binary_file(text)",
    "pg_read_binary_file(text, bigint, bigint, boolean)",
)


def unit(scenario: Scenario, machine: Machine) -> str:
    """Return the systemd unit of Patroni, which Debian names as the cluster's."""
    return f"patroni@{scenario.debian(machine).postgresql}-main.service"


def configuration(scenario: Scenario, machine: Machine) -> str:
    """Return the path of Patroni's settings."""
    return f"/etc/patroni/{scenario.debian(machine).postgresql}-main.yml"


def library(scenario: Scenario, machine: Machine) -> str:
    """Return the shell functions for it, behind those for the cluster."""
    own = (
        f"scope={scenario.name}\nmember={machine.name}\nspace={NAMESPACE}\n"
        f"configuration={configuration(scenario, machine)}\nunit={unit(scenario, machine)}\n"
        f"rest={addresses(scenario, machine)[machine.name]}:{ROLES}\n"
    )
    asked = agreement.client(scenario, machine, NAME)
    functions = f"{cluster.library(scenario)}{asked}{own}{LIBRARY}"
    # What is awaited runs in a shell of its own, which gets the functions by their text.
    return f'functions={shlex.quote(functions)}\neval "$functions"\n'


def addresses(scenario: Scenario, machine: Machine) -> dict[str, str]:
    """Return name -> address of all members, as one of them sees them."""
    return {
        each.name: scenario.address(each, seen_by=machine) for each in scenario.tier("database")
    }


def files(scenario: Scenario, machine: Machine) -> list[File]:
    """Return what a member has in files: certificate, settings, and who is which role."""
    release = scenario.debian(machine)
    etc = f"/etc/postgresql/{release.postgresql}/main"
    settings = template(
        configuration(scenario, machine),
        source="/etc/patroni/main.yml",
        mode=0o640,
        group=OWNER,
        scope=scenario.name,
        name=machine.name,
        address=addresses(scenario, machine)[machine.name],
        listens=cluster.own(scenario, machine),
        port=scenario.ports["database"],
        roles_port=ROLES,
        agreement=agreement.endpoints(scenario, machine),
        data=cluster.data(release),
        configuration=etc,
        programs=cluster.program("", release).rstrip("/"),
        replicator=REPLICATOR,
        rewinder=REWINDER,
        **repository.tls(NAME),
    )
    order = template(
        f"/etc/systemd/system/{unit(scenario, machine)}.d/crm.conf",
        source="/etc/systemd/system/patroni@main.service.d/crm.conf",
        version=release.postgresql,
    )
    return [*repository.credentials(scenario, machine, NAME, OWNER), settings, order]


def members(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say that a machine is a member, and that PostgreSQL runs as one, whichever its role."""
    functions = library(scenario, machine)
    moved = (
        f"{cluster.library(scenario)}has_cluster && "
        f'[ "$(data)" != {cluster.data(scenario.debian(machine))} ]'
    )
    held = files(scenario, machine)
    return [
        Never(
            moved,
            "PostgreSQL's data are not where Debian has them, which Patroni would not find: move "
            "them back",
        ),
        Shared(functions, wanted(scenario)),
        Run(
            "have Patroni run the cluster",
            f"{functions}take_over",
            unless=f"[ -e {MARK} ]",
            seconds=SECONDS,
        ),
        Service(
            unit(scenario, machine),
            reload=tuple(each.key for each in held),
            ready=f"{functions}in_place",
            alive=works("$main_pid"),
            limit=SECONDS,
        ),
    ]


# There once Patroni was given the cluster, or once it has made a copy of the others'.
MARK = "/etc/patroni/taken-over"


def alone(scenario: Scenario) -> Never:
    """Return what says so, before anything is changed, where the one that is left is a standby."""
    return Never(
        f"{cluster.library(scenario)}[ -e {MARK} ] && ! is_primary",
        "it is not the primary, whose place it cannot take alone: put the other one back into "
        f"{scenario.source.name}, and 'invoke database.switchover' first",
    )


def left(scenario: Scenario, machine: Machine) -> Run:
    """Return what gives the cluster of a pair back to Debian's unit, where one machine is left."""
    own = (
        f"configuration={configuration(scenario, machine)}\nunit={unit(scenario, machine)}\n"
        f"taken={MARK}\n"
    )
    return Run(
        "take the cluster back from Patroni",
        f"{cluster.library(scenario)}{own}{LIBRARY}give_back",
        unless=f"[ ! -e {MARK} ]",
        seconds=SECONDS,
    )


def wanted(scenario: Scenario) -> dict[str, Any]:
    """Return what all members share, as Patroni keeps it in etcd."""
    connections = limits.max_connections(len(scenario.tier("app")), scenario.applications)
    return {
        **TIMES,
        "failsafe_mode": True,
        "maximum_lag_on_failover": 1 << 20,
        "synchronous_mode": scenario.replication != "asynchronous",
        "synchronous_mode_strict": scenario.replication == "strict",
        "postgresql": {
            "use_pg_rewind": True,
            "use_slots": True,
            "parameters": {
                "max_connections": connections,
                "max_slot_wal_keep_size": "1GB",
                "wal_keep_size": "128MB",
                "wal_level": "replica",
                "wal_log_hints": "on",
            },
        },
    }


def roles() -> str:
    """Return the statements that make the roles by which members copy each other."""
    grants = "".join(
        f"GRANT EXECUTE ON FUNCTION pg_catalog.{each} TO {REWINDER};\n" for each in REWIND_FUNCTIONS
    )
    made = "".join(
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') "
        f"THEN CREATE ROLE {name}; END IF; END $$;\n"
        f"ALTER ROLE {name} LOGIN NOSUPERUSER {rights} PASSWORD NULL;\n"
        for name, rights in ((REPLICATOR, "REPLICATION"), (REWINDER, "NOREPLICATION"))
    )
    return made + grants


def roles_are_right() -> str:
    """Return the query that finds a row when these roles are there."""
    return (
        "SELECT WHERE (SELECT count(*) FROM pg_authid WHERE rolcanlogin AND NOT rolsuper AND "
        f"(rolname, rolreplication) IN (('{REPLICATOR}', true), ('{REWINDER}', false))) = 2"
    )


@dataclass(frozen=True)
class Shared:
    """What all members share in etcd; whoever finds it wrong writes it, and Patroni reads it."""

    library: str
    values: dict[str, Any]
    key: str = "what the databases share"

    @property
    def surveys(self) -> Sequence[tuple[Survey, str]]:
        """What its probe reads."""
        return ()

    def probe(self) -> str:
        """Print what is there."""
        return f"{self.library}shared"

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Write it if it differs."""
        try:
            found = json.loads(facts) if facts.strip() else {}
        except ValueError:
            found = {}
        if found == self.values:
            return None
        wrong = ", ".join(sorted(_differing(found, self.values)))
        files: dict[str, Payload] = {"shared": json.dumps(self.values).encode()}
        script = f'{self.library}share "$payload/shared"'
        return Change(self.key, f"write what the databases share: {wrong}", script, files=files)


def _differing(found: Any, values: Any, at: str = "") -> Set[str]:
    """Return the names, down to the last one, whose values differ."""
    if isinstance(found, dict) and isinstance(values, dict):
        return {
            name
            for key in found.keys() | values.keys()
            if found.get(key) != values.get(key)
            for name in _differing(found.get(key), values.get(key), key)
        }
    if isinstance(values, dict):
        return {name for key, each in values.items() for name in _differing(None, each, key)}
    return {at}
