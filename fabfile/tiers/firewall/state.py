"""The firewall: the only way from the Internet side to the balancer, and from there back."""

from __future__ import annotations

from fabfile.engine.change import Resource
from fabfile.engine.resources import Directory, Never, Packages, Run, Service
from fabfile.engine.survey import Survey
from fabfile.scenario import Machine, Scenario
from fabfile.scenario.flows import FLOWS, USERS
from fabfile.scenario.parts import MANAGEMENT
from fabfile.tiers.firewall import pair
from fabfile.tiers.firewall.others import Rules
from fabfile.tiers.neighbours import neighbours
from fabfile.tiers.templates import template
from fabfile.tiers.tier import Listener, View

SCRIPT = "/etc/fw/fw.fw"
SYSCTL = "/etc/sysctl.d/60-crm-fw.conf"
ADDRESSES = Survey("addresses", "ip -o -4 addr show")
# Written on the machine, with the names of its interfaces.
STRICT = "/etc/sysctl.d/61-crm-fw.conf"
UNITS = "/etc/systemd/system"
# What loads the rules again when somebody flushes them.
RENEWAL = (
    f"{UNITS}/fw-renew.service",
    f"{UNITS}/fw-renew.timer",
    f"{UNITS}/nftables.service.d/crm.conf",
)
# New rules undo themselves after this long, unless a new connection has come in by then.
TRIAL_SECONDS = 20
_LOCKED_OUT = (
    f"these rules let no new connection in for {TRIAL_SECONDS} s, so those from before are back; "
    "are the interfaces and the SSH port of the firewall right in config.py?"
)


def rules(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say which rules the firewall has. They stay only if they let a new connection in."""
    outer = scenario.outer(machine)
    # Sources that can't come from outside: every network but the users' one.
    inside = [str(network) for name, network in scenario.networks.items() if name != outer]
    ssh_port = machine.login.port if machine.login and machine.login.port else 22
    return [
        *_missing(scenario, machine),
        neighbours(scenario, machine),
        Packages("iptables"),
        Directory("/etc/fw", 0o755),
        template(
            SCRIPT,
            mode=0o750,
            check="sh {} test",
            scenario=scenario,
            machine=machine,
            inside=inside,
            interfaces=_interfaces(scenario, machine),
            sysctl=STRICT,
            open=_open(scenario, machine),
            peers=pair.let_in(scenario, machine),
            ssh_port=ssh_port,
            script=SCRIPT,
            trial=TRIAL_SECONDS,
        ),
        Rules(
            "load the firewall rules",
            f"{SCRIPT} try",
            unless=f"{SCRIPT} status",
            after=(SCRIPT,),
            confirm=f"[ -x {SCRIPT} ] && {SCRIPT} keep || {{ echo {_LOCKED_OUT!r}; exit 1; }}",
        ),
    ]


def _missing(scenario: Scenario, machine: Machine) -> list[Never]:
    """Return what says so when the machine has not the addresses that the rules go by."""
    return [
        Never(
            f'case $addresses in *" {address}/"*) false ;; esac',
            f"no network interface has {address}, which MACHINES[{machine.name!r}] says; "
            "'ip address' there shows what it has",
            (ADDRESSES,),
        )
        for address in _interfaces(scenario, machine).values()
        if address
    ]


def _interfaces(scenario: Scenario, machine: Machine) -> dict[str, str]:
    """Return the address by which each interface is found; "": where somebody is logged in.

    The name of an interface is the kernel's or a cloud's choice, its address is the scenario's.
    """
    return {
        "lan_outside": str(machine.addresses[scenario.outer(machine)]),
        "lan_inside": str(machine.addresses[scenario.inner]),
        "management": str(machine.addresses.get(MANAGEMENT, "")),
    }


def _open(scenario: Scenario, machine: Machine) -> list[tuple[str, Listener, tuple[int, int]]]:
    """Return what the users may reach through the firewall: address, listener, its ports."""
    found = [
        (
            scenario.found_at(each, scenario.network(each, machine)),
            flow.listener,
            flow.listener.ports(scenario.ports),
        )
        for flow in FLOWS
        if flow.source == USERS
        for each in scenario.tier(flow.target)
    ]
    return list(dict.fromkeys(found))


def forwarding(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say how the firewall forwards, now and at boot: after the rules, never without them."""
    return [
        template(f"{UNITS}/fw.service", scenario=scenario, machine=machine),
        *(template(path, scenario=scenario, machine=machine) for path in RENEWAL),
        template(SYSCTL, machine=machine),
        # systemd's own tool: sysctl is in procps, which a small machine lacks.
        Run(
            "turn on forwarding",
            f"/lib/systemd/systemd-sysctl {SYSCTL}",
            unless='[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ]',
            after=(SYSCTL,),
        ),
        Service("fw.service"),
        Service("fw-renew.timer", restart=RENEWAL),
        *pair.shared(scenario, machine),
    ]


def view(scenario: Scenario, machine: Machine) -> View:
    """Return what `status` shows of the firewall: whether its rules are loaded."""
    loaded = f"{SCRIPT} status >/dev/null 2>&1 && echo 'rules: loaded' || echo 'rules: not loaded'"
    shared = pair.view(scenario, machine)
    units = ("fw.service", "fw-renew.timer", *shared.units)
    return View(units, f"{loaded}\n{shared.shell}".rstrip())
