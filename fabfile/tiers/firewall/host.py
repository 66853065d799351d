"""The rules of a machine's own, where no firewall stands before it: by the table of flows.

They are a table of nftables beside everybody else's: to load them flushes nothing, and a packet
that another one drops stays dropped (nft(8), "CHAINS").
"""

from __future__ import annotations

from fabfile.engine.change import Resource
from fabfile.engine.resources import Packages, Run, Service
from fabfile.scenario import Machine, Scenario
from fabfile.scenario.flows import CONTROL, FLOWS, SSH, USERS, Flow
from fabfile.scenario.parts import MANAGEMENT
from fabfile.tiers.templates import template
from fabfile.tiers.tier import Listener, View

RULES = "/etc/crm-deployer/host.nft"
PROGRAM = "/usr/local/lib/crm-deployer/host-rules"
UNITS = "/etc/systemd/system"
# New rules undo themselves after this long, unless a new connection has come in by then.
TRIAL_SECONDS = 20
_LOCKED_OUT = (
    f"these rules let no new connection in for {TRIAL_SECONDS} s, so those from before are back; "
    "is the SSH port of the machine right in config.py?"
)


def rules(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what a machine lets in. The rules stay only if they let a new connection in."""
    program = template(
        PROGRAM, mode=0o755, rules=RULES, trial=TRIAL_SECONDS, ssh_port=machine.ssh.port or 22
    )
    let_in = template(
        RULES,
        check="nft -c -D 'ssh_ports=22' -f {}",
        machine=machine,
        let_in=_let_in(scenario, machine),
    )
    units = [
        template(f"{UNITS}/host-rules{name}", machine=machine, program=PROGRAM)
        for name in (".service", "-renew.service", "-renew.timer")
    ]
    return [
        Packages("nftables"),
        program,
        let_in,
        *units,
        Run(
            "load what the machine lets in",
            f"{PROGRAM} try",
            unless=f"{PROGRAM} status",
            after=(let_in.key,),
            confirm=f"[ -x {PROGRAM} ] && {PROGRAM} keep || {{ echo {_LOCKED_OUT!r}; exit 1; }}",
        ),
        Service("host-rules.service"),
        Service("host-rules-renew.timer", restart=tuple(unit.key for unit in units[1:])),
    ]


def view(scenario: Scenario, machine: Machine) -> View:
    """Return what `status` shows of a machine's own rules: whether they are loaded."""
    loaded = f"{PROGRAM} status >/dev/null 2>&1 && echo 'rules: loaded' || echo 'rules: not loaded'"
    return View(("host-rules.service", "host-rules-renew.timer"), loaded)


def _let_in(
    scenario: Scenario, machine: Machine
) -> list[tuple[Listener, tuple[int, int], list[str]]]:
    """Return listener, its ports, and who may come, for each line of the table; [] is anybody."""
    found: dict[Listener, list[str]] = {}
    for flow in FLOWS:
        if (
            flow.target in machine.tiers
            and flow.listener.protocol == "tcp"
            and flow.listener != SSH
        ):
            sources = _sources(scenario, flow, machine)
            if sources or flow.source == USERS:
                known = found.setdefault(flow.listener, [])
                known += [each for each in sources if each not in known]
    return [(each, each.ports(scenario.ports), known) for each, known in found.items()]


def _sources(scenario: Scenario, flow: Flow, machine: Machine) -> list[str]:
    if flow.source == USERS:
        return []
    if flow.source == CONTROL:
        # Any computer there may be the one that somebody sits at.
        return [str(scenario.networks[MANAGEMENT])] if MANAGEMENT in machine.addresses else []
    others = [each for each in scenario.tier(flow.source) if each != machine]
    return [scenario.address(each, seen_by=machine) for each in others]
