"""The way to the primary of several databases: HAProxy on each of them, which asks Patroni.

The pooler beside it goes that way, and what goes past the pooler, at the address that they share.
See Patroni's documentation, "REST API", GET /primary.
"""

from __future__ import annotations

import shlex

from fabfile.engine.change import Resource
from fabfile.engine.resources import Packages, Run, Service
from fabfile.engine.waiting import AWAIT
from fabfile.scenario import Machine, Scenario
from fabfile.scenario.flows import sources
from fabfile.tiers.app.health import works
from fabfile.tiers.database import cluster, limits, patroni
from fabfile.tiers.floating import Works, sharing
from fabfile.tiers.storage import repository
from fabfile.tiers.templates import template

UNIT = "primary.service"
CONFIGURATION = "/etc/haproxy/primary.cfg"
# Where PostgreSQL's own socket would be, of the primary.
SOCKET = "/run/primary"
ADMIN = f"{SOCKET}/admin.sock"
# Where it tells on the machine itself whether it leads anywhere: 200, else 503.
TOLD = 8007
SYSCTL = "/etc/sysctl.d/60-crm-database.conf"
WORKS = "/usr/local/lib/crm-deployer/database-works"
# A primary that is killed, or changes, is away for less: no reason to move the address.
PATIENCE = 6


LEAD_SECONDS = 20


def leads_to(member: str) -> str:
    """Return shell that waits until the way of a machine leads to that member and no other."""
    up = 'awk -F, \'$1 == "primary" && $2 != "BACKEND" && $18 ~ /^UP/ { print $2 }\''
    asked = f"echo 'show stat' | socat - UNIX-CONNECT:{ADMIN} | {up}"
    condition = f'[ "$({asked})" = {member} ]'
    return f"{AWAIT}await {LEAD_SECONDS} 'the way to {member}' {shlex.quote(condition)}"


def desired(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what leads to the primary from a machine of a pair, and to none where there is one."""
    if not scenario.paired("database"):
        return [
            Run(
                "remove the way to another primary",
                f"systemctl -q disable --now {UNIT}\n"
                f"rm -f {CONFIGURATION} /etc/systemd/system/{UNIT} {SYSCTL} {WORKS}",
                unless=f"[ ! -e {CONFIGURATION} ]",
            )
        ]
    settings = template(
        CONFIGURATION,
        # PostgreSQL takes no more, and twice that waits or is just being ended.
        connections=2 * limits.max_connections(len(scenario.tier("app")), scenario.applications),
        socket=SOCKET,
        port=scenario.ports["database"],
        roles_port=patroni.ROLES,
        told_port=TOLD,
        floating=[str(each) for each in scenario.floating.get("database", {}).values()],
        servers=[
            scenario.address(each, seen_by=machine)
            for tier in sources("database", "sql")
            for each in scenario.tier(tier)
        ],
        members=patroni.addresses(scenario, machine),
        authority=repository.AUTHORITY,
    )
    order = template(f"/etc/systemd/system/{UNIT}", configuration=CONFIGURATION)
    return [
        Packages("haproxy", "socat"),
        settings,
        order,
        Service(
            UNIT,
            restart=(order.key,),
            reload=(settings.key,),
            ready=f"[ -S {SOCKET}/.s.PGSQL.{scenario.ports['database']} ]",
            alive=works("$main_pid"),
        ),
    ]


def beforehand(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what lets services listen at the shared address while another machine has it."""
    if not scenario.paired("database"):
        return []
    return [
        template(SYSCTL),
        Run(
            "let services listen at the address that is shared",
            f"/lib/systemd/systemd-sysctl {SYSCTL}",
            unless='[ "$(cat /proc/sys/net/ipv4/ip_nonlocal_bind)" = 1 ]',
            after=(SYSCTL,),
        ),
    ]


def addressed(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say how the machines share the address at which the app servers find the database.

    It goes where a pooler leads to a primary, whichever machine is that.
    """
    found = sharing(scenario, machine, "database", Works(WORKS, patience=PATIENCE))
    if not scenario.paired("database"):
        return found
    address, *_ = cluster.own(scenario, machine)
    asked = template(WORKS, mode=0o755, address=address, pool=scenario.ports["pool"], told=TOLD)
    return [asked, *found]
