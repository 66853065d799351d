"""What `status` shows: each machine as it is now, and what the tiers think of each other."""

from __future__ import annotations

import json

from rich.table import Table

from fabfile.deployment import connected, scenario
from fabfile.engine.converge import everywhere
from fabfile.engine.remote import MachineError, Remote
from fabfile.progress import console
from fabfile.scenario import Machine, Scenario

# Each prints lines of "name value"; one round trip a machine.
COMMON = """
echo up $(systemctl show -P UserspaceTimestamp | cut -d" " -f2,3)
echo system $(systemctl is-system-running)
"""


def report(as_json: bool) -> None:
    """Print a table, or JSON: each machine's tier, address, boot, services and its own view."""
    wanted = scenario()
    machines = [machine for machine in wanted.machines if machine.login]
    with connected(wanted, [machine.name for machine in machines]) as remotes:
        facts = everywhere(list(remotes.values()), lambda remote: _facts(wanted, remote))
    rows = [_row(machine, facts[machine.name]) for machine in machines]
    if as_json:
        console.print_json(json.dumps(rows))
        return
    table = Table("machine", "tier", "address", "up since", "services", "details", box=None)
    for row in rows:
        services = "\n".join(
            f"{name.removesuffix('.service')} {state}" for name, state in row["services"].items()
        )
        details = "\n".join(row["details"])
        table.add_row(
            row["machine"],
            row["tier"],
            row["address"].replace(", ", "\n"),
            row["up_since"],
            services,
            details,
        )
    console.print(table)


def _facts(wanted: Scenario, remote: Remote) -> str:
    machine = wanted.machine(remote.name)
    units = {
        "firewall": "fw.service",
        "balancer": "haproxy.service",
        "database": "postgresql@15-main.service",
        "storage": "glusterd.service",
        "app": f"{wanted.application.name}.service mnt-nas.mount",
    }.get(machine.tier, "")
    script = COMMON + f"for u in {units}; do echo service $u $(systemctl is-active $u); done\n"
    try:
        return remote.run(script + _details(wanted, machine), seconds=20).text
    except MachineError as error:
        return f"detail {error.sentence}"


def _details(wanted: Scenario, machine: Machine) -> str:
    """Answer shell that prints a tier's own view as "detail ..." lines."""
    if machine.tier == "balancer":
        return (
            "echo 'show stat' | socat -t 5 stdio /run/haproxy/admin.sock | "
            'awk -F, \'$2 != "FRONTEND" && $2 != "BACKEND" && !/^#/ && NF '
            '{ print "detail " $2 " is " $18 ", " $5 " sessions" }\''
        )
    if machine.tier == "database":
        return (
            "cd /; runuser -u postgres -- psql -qAtX -F ' ' <<'SQL'\n"
            "SELECT 'detail ' || host(client_addr), count(*) || ' connections' "
            "FROM pg_stat_activity WHERE client_addr IS NOT NULL GROUP BY 1, client_addr "
            "ORDER BY client_addr;\nSQL"
        )
    if machine.tier == "storage" and machine == wanted.tier("storage")[0]:
        return (
            "gluster volume info nas | sed -n 's/^Status: /detail volume nas /p'\n"
            "gluster volume heal nas info summary | "
            "awk '/^Total Number of entries/ { n += $NF } /split-brain/ { s += $NF } "
            'END { print "detail to heal: " n ", split-brain: " s }' + "'"
        )
    return ""


def _row(machine: Machine, text: str) -> dict:
    facts = [line.split(" ", 1) for line in text.splitlines() if " " in line]
    services = [value.split() for name, value in facts if name == "service"]
    found = {name: value for name, value in facts if name in ("up", "system")}
    return {
        "machine": machine.name,
        "tier": machine.tier,
        "address": ", ".join(str(a) for n, a in machine.addresses.items() if n != "management"),
        "up_since": found.get("up", "not reached"),
        "system": found.get("system", "unknown"),
        "services": {unit: state for unit, state in services},
        "details": [value for name, value in facts if name == "detail"],
    }
