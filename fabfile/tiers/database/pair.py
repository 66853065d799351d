"""What PostgreSQL has more of where several machines keep the same database: see patroni.py."""

from __future__ import annotations

from collections.abc import Sequence

from fabfile.engine.change import Resource
from fabfile.engine.resources import Packages, Port, Run
from fabfile.engine.survey import Survey
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.database import limits, patroni, way
from fabfile.tiers.database.cluster import library
from fabfile.tiers.database.settings import Settings
from fabfile.tiers.templates import template

SETTLE_SECONDS = 30
SHARED = patroni.Shared("", {}).key
# The timeline that a member is on now. What pg_control has is that of its last checkpoint.
TIMELINE = """CASE WHEN pg_is_in_recovery() THEN (SELECT received_tli FROM pg_stat_wal_receiver)
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END"""
# What `status` shows of a member: its role, and on the primary how far the others are behind it.
TOLD = f"""
SELECT 'role: ' || CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END
    || ', timeline ' || coalesce(({TIMELINE})::text, 'unknown');
SELECT application_name || ': ' || state || ', ' || sync_state || ', '
    || pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)) || ' behind'
FROM pg_stat_replication WHERE NOT pg_is_in_recovery() ORDER BY application_name;"""


def others(scenario: Scenario, machine: Machine) -> dict[str, str]:
    """Return name -> address of all members, this one included: any may lead to the primary."""
    return patroni.addresses(scenario, machine)


def told(scenario: Scenario) -> str:
    """Return statements that tell what a member has, and that a standby has from the primary."""
    if not scenario.paired("database"):
        return ""
    return f"""
SELECT 'members' WHERE EXISTS ({patroni.roles_are_right()});
SELECT unnest(ARRAY['role', 'database', 'members']) WHERE pg_is_in_recovery();
SELECT 'settled' WHERE current_setting('max_connections')::int >= {_connections(scenario)}
    AND NOT EXISTS (SELECT FROM pg_settings WHERE pending_restart AND name <> 'max_connections');
"""


def files(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what files a member has before it runs."""
    version = scenario.debian(machine).postgresql
    known = template(
        f"/etc/postgresql/{version}/main/pg_ident.conf",
        source="/etc/postgresql/main/pg_ident.conf",
        mode=0o640,
        owner=patroni.OWNER,
        group=patroni.OWNER,
        members=sorted(each.name for each in scenario.tier("database")),
        roles=(patroni.REPLICATOR, patroni.REWINDER),
    )
    ports = (
        Port(patroni.ROLES, (patroni.unit(scenario, machine),)),
        Port(way.TOLD, (way.UNIT,)),
    )
    programs = Packages("patroni", "python3-etcd", "etcd-client")
    return [*ports, programs, *patroni.files(scenario, machine), known]


def running(
    scenario: Scenario, machine: Machine, read: Sequence[str], holding: Settings
) -> list[Resource]:
    """Say that a member runs, and reads what is in its files; `read` are the keys of these."""
    functions = patroni.library(scenario, machine)
    keys = (*read, *(each.key for each in files(scenario, machine)))
    return [
        *patroni.members(scenario, machine),
        Run(
            "have PostgreSQL read its files again",
            f"{functions}read_again {_connections(scenario)} {SETTLE_SECONDS}",
            unless="true",
            after=(*keys, holding.key, holding.restart_key, SHARED),
        ),
    ]


def settled(scenario: Scenario, machine: Machine, holding: Settings) -> Run:
    """Say that a member runs with what is in its files: what a restart is for, and nothing else.

    Clients wait meanwhile, where it is the primary.
    """
    functions = patroni.library(scenario, machine)
    return Run(
        "restart PostgreSQL for its settings",
        f"{functions}settle {_connections(scenario)} {SETTLE_SECONDS}",
        unless=f"{functions}settled {_connections(scenario)}",
        after=(holding.path, holding.restart_key, SHARED),
        told=(holding.survey, "settled"),
        seconds=300,
    )


def roles(scenario: Scenario, told: Survey) -> Run:
    """Say that the roles are there by which members copy each other."""
    functions = f"{library(scenario)}! is_primary"
    there = f"SELECT EXISTS ({patroni.roles_are_right()});"
    return Run(
        "make the roles by which the databases copy each other",
        f"{functions} || ask <<'SQL'\n{patroni.roles()}SQL\n",
        unless=f'{functions} || [ "$(echo "{there}" | ask)" = t ]',
        told=(told, "members"),
    )


def _connections(scenario: Scenario) -> int:
    return limits.max_connections(len(scenario.tier("app")), scenario.applications)
