"""The load balancer: HAProxy in front of the app servers."""

from __future__ import annotations

from fabfile.engine.change import Resource
from fabfile.engine.resources import Packages, Port, Run, Service
from fabfile.scenario import Machine, Scenario
from fabfile.scenario.parts import MANAGEMENT
from fabfile.tiers.balancer.haproxy import (
    CHECK,
    DRAIN_SECONDS,
    LIBRARY,
    Configuration,
    Servers,
)
from fabfile.tiers.balancer.seen import Seen
from fabfile.tiers.floating import Works, sharing
from fabfile.tiers.floating import view as role
from fabfile.tiers.neighbours import neighbours
from fabfile.tiers.templates import render, template
from fabfile.tiers.tier import View

CONFIGURATION = "/etc/haproxy/haproxy.cfg"
ERROR_PAGE = "/etc/haproxy/errors/crm-503.http"
SYSCTL = "/etc/sysctl.d/60-crm-lb.conf"
# Who may see the statistics; the password is the secret `statistics_password`.
STATISTICS_USER = "statistics"
UNIT = "haproxy.service"
# How keepalived asks HAProxy, where two balancers share an address.
WORKS = "/usr/local/lib/crm-deployer/haproxy-works"
WORKS_SOCKET = "/run/haproxy/works.sock"


def installed(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what the balancer needs before it knows any app server."""
    elsewhere = f" or choose another port: PORTS in {scenario.source.name}"
    return [
        neighbours(scenario, machine),
        *(Port(scenario.ports[name], (UNIT,), remedy=elsewhere) for name in ("http", "statistics")),
        Packages("haproxy", "socat"),
        template(SYSCTL, scenario=scenario, machine=machine),
        Run(
            "turn off forwarding",
            f"/lib/systemd/systemd-sysctl {SYSCTL}",
            unless=(
                '[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 0 ] && '
                '[ "$(cat /proc/sys/net/ipv4/ip_nonlocal_bind)" = 1 ]'
            ),
            after=(SYSCTL,),
        ),
        # Before the configuration, whose check reads it.
        template(ERROR_PAGE, scenario=scenario, machine=machine),
    ]


def desired(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say how the balancer serves: HAProxy, with each app server in its file and its process."""
    port = scenario.ports["app"]
    servers = {
        server.name: (
            f"{scenario.address(server, seen_by=machine)}:{port}",
            scenario.in_maintenance(server),
        )
        for server in scenario.tier("app")
    }
    deep = scenario.application.health[1:]
    text = render(
        CONFIGURATION,
        # What a user could make fail on all servers must leave them in service: the first page
        # decides alone where no server answers all of them.
        backends={"app": deep, **({"app-alive": ()} if deep else {})},
        scenario=scenario,
        machine=machine,
        servers=servers,
        server_check=CHECK,
        drain_seconds=DRAIN_SECONDS,
        # A public address may be one that a cloud translates, and no machine has.
        bound=scenario.entry if scenario.tier("firewall") else "*",
        # Beside the address that it shares, its own, so that others see it work without that.
        own=[str(machine.addresses[scenario.inner])]
        if "balancer" in scenario.floating and scenario.tier("firewall")
        else [],
        works_socket=WORKS_SOCKET if "balancer" in scenario.floating else "",
        statistics_address=str(machine.addresses.get(MANAGEMENT, "127.0.0.1")),
        statistics_user=STATISTICS_USER,
        # Between single quotes HAProxy, like a shell, takes all but the quote itself.
        statistics_password=scenario.secret("statistics_password").replace("'", "'\\''"),
    )
    configuration = Configuration(
        CONFIGURATION, text, mode=0o640, group="haproxy", check="haproxy -c -q -f {}"
    )
    reload = (configuration.key, ERROR_PAGE)
    return [
        configuration,
        Servers(servers, reloading=reload),
        Service(UNIT, reload=reload, alive=f"{LIBRARY}answers"),
    ]


def seen(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say that HAProxy sees all app servers that get clients: an unseen one serves nobody."""
    servers = tuple(server.name for server in scenario.serving)
    seen_as = (scenario.address(machine, seen_by=each) for each in scenario.serving)
    addresses = " or ".join(dict.fromkeys(seen_as))
    advice = (
        f"Look on that server whether {scenario.application.name}.service answers, and whether a "
        f"firewall there lets {machine.name} in: from {addresses} to TCP {scenario.ports['app']} "
        "(nft list ruleset, ufw status)."
    )
    restarts = (CONFIGURATION, ERROR_PAGE, Servers({}).key, Service(UNIT).key)
    return [Seen(servers, restarts, advice)] if servers else []


def addressed(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say how two balancers share the users' address: who has it answers, and sees a server."""
    asked = template(WORKS, mode=0o755, socket=WORKS_SOCKET)
    judged = Works(f"{WORKS} answers", f"{WORKS} serves")
    found = sharing(scenario, machine, "balancer", judged)
    return [asked, *found] if "balancer" in scenario.floating else found


def application() -> str:
    """Return shell that prints the application that HAProxy was last set up for, if any."""
    return "sed -n 's/^# The application: //p' /etc/haproxy/haproxy.cfg 2>/dev/null || :"


def view(scenario: Scenario, machine: Machine) -> View:
    """Return what `status` shows of the balancer: HAProxy's view of each server."""
    shared = role(scenario, machine, "balancer")
    return View((UNIT, *shared.units), f"{LIBRARY}shown\n{shared.shell}".rstrip())
