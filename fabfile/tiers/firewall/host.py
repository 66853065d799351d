"""The rules of a machine's own, where no firewall stands before it: by the table of flows.

They are a table of nftables beside everybody else's: to load them flushes nothing, and a packet
that another one drops stays dropped (nft(8), "CHAINS").
"""

from __future__ import annotations

from fabfile.engine.change import Resource
from fabfile.engine.resources import Packages, Run, Service
from fabfile.scenario import Machine, Scenario
from fabfile.scenario.callers import entrances, peers
from fabfile.scenario.flows import SSH
from fabfile.tiers.templates import template
from fabfile.tiers.tier import View

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
        peers=peers(scenario, machine),
        # SSH is let in from anywhere, and its port is found on the machine.
        let_in=[each for each in entrances(scenario, machine) if each.listener != SSH],
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
