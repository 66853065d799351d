"""The firewall: the only way from the Internet side to the balancer, and from there back."""

from __future__ import annotations

from fabfile.engine.change import Resource
from fabfile.engine.resources import Directory, Packages, Run, Service
from fabfile.scenario import Machine, Scenario
from fabfile.templates import template
from fabfile.view import View

SCRIPT = "/etc/fw/fw.fw"
SYSCTL = "/etc/sysctl.d/60-crm-fw.conf"
UNIT = "/etc/systemd/system/fw.service"


def desired(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Answer what the firewall must have: the rules, loaded now and at boot, and forwarding."""
    outside = machine.interface("lan1")
    # Sources that can't come from outside: every network that isn't behind the outer interface.
    inside = [
        str(network)
        for name, network in scenario.networks.items()
        if machine.interface(name) != outside
    ]
    lans = [machine.interface(name) for name in machine.addresses if name != "management"]
    ssh_port = machine.login.port if machine.login and machine.login.port else 22
    live = ["net/ipv4/ip_forward", *(f"net/ipv4/conf/{lan}/rp_filter" for lan in lans)]
    return [
        Packages("iptables"),
        Directory("/etc/fw", 0o755),
        template(
            SCRIPT,
            mode=0o750,
            check="sh {} test",
            scenario=scenario,
            machine=machine,
            outside=outside,
            inside=inside,
            management=machine.interface("management"),
            balancers=[balancer.address("lan2") for balancer in scenario.tier("balancer")],
            ssh_port=ssh_port,
        ),
        template(UNIT, scenario=scenario, machine=machine),
        # Before forwarding: at no moment does this machine forward without rules.
        Run(
            "load the firewall rules",
            f"{SCRIPT} start",
            unless=f"{SCRIPT} status",
            after=(SCRIPT,),
        ),
        template(SYSCTL, scenario=scenario, machine=machine, lans=lans),
        # systemd's own tool: sysctl is in procps, which a small machine lacks.
        Run(
            "turn on forwarding",
            f"/lib/systemd/systemd-sysctl {SYSCTL}",
            unless=" && ".join(f'[ "$(cat /proc/sys/{name})" = 1 ]' for name in live),
            after=(SYSCTL,),
        ),
        Service("fw.service"),
    ]


def view(scenario: Scenario, machine: Machine) -> View:
    """Answer what `status` shows of the firewall: whether its rules are loaded."""
    loaded = f"{SCRIPT} status >/dev/null 2>&1 && echo 'rules: loaded' || echo 'rules: not loaded'"
    return View(("fw.service",), loaded)
