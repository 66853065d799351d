"""Perimeter: what an outsider reaches through the firewall: HTTP and ping of the balancer only."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import create_connection
from typing import TYPE_CHECKING, Any

from fabfile.engine.remote import Remote
from fabfile.scenario import Machine
from fabfile.scenario.callers import open_to_all
from fabfile.scenario.flows import FLOWS
from fabfile.scenario.model import Scenario
from fabfile.scenario.parts import MANAGEMENT, PUBLIC
from fabfile.tiers import TIERS
from fabfile.verify.check import Check, Site, judged

if TYPE_CHECKING:
    from fabfile.verify.programs.scan import Found, Given

USED_PORTS = (22, 25, 80, 111, 443, 3306, 5432, 8080)
UDP_PORTS = (53, 67, 111, 123, 161, 514, 24007)
SCAN = Path(__file__).parent / "programs/scan.py"
SCAN_SECONDS = 120


def checks(site: Site) -> list[Check]:
    """Check what can be reached from a client; without one, from this computer what it can try.

    A client scans as root: all TCP ports of firewall and balancer, the ports in use of every
    other address, management included, and samples of UDP and IPv6.
    """
    scenario = site.scenario
    clients = [machine for machine in scenario.tier("client") if machine.login]
    balancer = scenario.entry
    only = f"{balancer}:{scenario.ports['http']}"
    if scenario.guarded:
        sentence = f"perimeter: from this computer only {only} and SSH are open (TCP)"
        return [judged(sentence, lambda: _knock(site, only)), *_unencrypted(scenario)]
    if not clients:
        sentence = f"perimeter: from this computer only {only} is open (TCP)"
        return [judged(sentence, lambda: _knock(site, only))]
    client = clients[0]
    found: dict[str, Any] = {}

    def scanned(key: str) -> Callable[[], tuple[bool, str]]:
        def judge() -> tuple[bool, str]:
            if key not in found:
                return False, "not known: the scan failed"
            return not found[key], f"answers: {', '.join(found[key][:5]) or 'none'}"

        return judge

    return [
        judged(f"perimeter: {balancer} answers ping", lambda: _ping(site, client, balancer)),
        judged(
            f"perimeter: from {client.name} only {only} is open, the rest is silent (TCP)",
            lambda: _tcp(site, client, found, only),
        ),
        judged(f"perimeter: nothing answers {client.name} by UDP", scanned("udp")),
        judged(f"perimeter: the firewall is silent to {client.name} by IPv6", scanned("ipv6")),
    ]


def _addresses(site: Site) -> list[str]:
    own = [each for machine in site.scenario.inside for each in machine.addresses.values()]
    shared = [each for tier in site.scenario.floating.values() for each in tier.values()]
    return [*map(str, own), *map(str, shared)]


def _ports(site: Site) -> list[int]:
    """Return every TCP port that any machine listens on, and the usual ones."""
    used = {
        port for machine in site.scenario.inside for _, port in site.listening.get(machine.name, ())
    }
    return sorted({*used, *USED_PORTS, *site.scenario.ports.values()})


def _udp_ports() -> list[int]:
    """Return samples, and what machines listen on for each other."""
    used = {flow.listener.numbers[0] for flow in FLOWS if flow.listener.protocol == "udp"}
    return sorted({*used, *UDP_PORTS})


def _knock(site: Site, only: str) -> tuple[bool, str]:
    """Try the ports in use of every address but the management ones, which this computer may.

    Where each machine has rules of its own, it may come to SSH, too.
    """
    management = {str(m.addresses.get(MANAGEMENT)) for m in site.scenario.machines}
    named = {
        f"{address}:{port}"
        for machine in site.scenario.guarded
        for address in (*machine.addresses.values(), *site.scenario.shared(machine).values())
        for port in open_to_all(site.scenario, machine)
    }
    ports = _ports(site)
    targets = [
        (address, port)
        for address in _addresses(site)
        if address not in management
        for port in ports
    ]

    def knock(target: tuple[str, int]) -> str:
        try:
            create_connection(target, 1).close()
        except OSError:
            return ""
        return f"{target[0]}:{target[1]}"

    with ThreadPoolExecutor(len(targets)) as pool:
        found = [name for name in pool.map(knock, targets) if name]
    beyond = {*found} - named - {only}
    return (
        only in found and not beyond,
        f"{len(targets)} ports tried, open: {', '.join(found) or 'none'}",
    )


def _unencrypted(scenario: Scenario) -> list[Check]:
    """Return the warning of machines that ask each other over the Internet."""
    names = {
        each.name
        for flow in scenario.flows
        for one in scenario.tier(flow.source)
        for other in scenario.tier(flow.target)
        if TIERS[flow.source].inside and one != other and scenario.network(one, other) == PUBLIC
        for each in (one, other)
    }
    if not names:
        return []
    seen = f"no: {', '.join(sorted(names))} speak over {PUBLIC!r}; give them a private network"
    sentence = "perimeter: nobody can read what the machines say to each other"
    return [Check(sentence, True, seen, warning=True)]


def _ping(site: Site, client: Machine, address: str) -> tuple[bool, str]:
    text = site.run(client.name, f"ping -c 2 -i 0.2 -W 2 {address}", 15)
    found = re.search(r"(\d+) received", text)
    return bool(found and found[1] == "2"), f"{found[1] if found else 0} of 2 answers"


def _tcp(site: Site, client: Machine, found: dict[str, Any], only: str) -> tuple[bool, str]:
    scenario = site.scenario
    gates = scenario.tier("firewall")
    outer, inner = scenario.outer(gates[0]), scenario.inner
    through = scenario.found_at(gates[0], outer)
    ranges = [str(each) for name, each in scenario.networks.items() if name != outer]
    whole = {scenario.entry}
    for gate in gates:
        whole |= {str(gate.addresses[name]) for name in (outer, inner)}
        whole |= {scenario.found_at(gate, name) for name in (outer, inner)}
    ports = _ports(site)
    others = [address for address in _addresses(site) if address not in whole]
    given: Given = {
        "source": str(client.addresses[outer]),
        "interface": _interface(site, client, outer),
        # Each firewall is asked itself for what it has inside.
        "ways": {
            **dict.fromkeys(ranges, through),
            **{f"{gate.addresses[inner]}/32": str(gate.addresses[outer]) for gate in gates},
        },
        "open": (scenario.entry, scenario.ports["http"]),
        "whole": sorted(whole),
        "tcp": [(address, port) for address in others for port in ports],
        "udp": [(address, port) for address in _addresses(site) for port in _udp_ports()],
        "ipv6": [
            (address, port)
            for gate in gates
            if gates == (gate,) or isinstance(site.remotes[gate.name], Remote)
            for address in _ipv6(site, gate)
            for port in ports
        ],
    }
    answers: Found = site.program(client.name, SCAN, given, SCAN_SECONDS)
    found.update(answers)
    seen = f"{answers['tried']} ports tried, open: {', '.join(answers['open']) or 'none'}"
    seen += f"; refused: {', '.join(answers['refused'][:5])}" if answers["refused"] else ""
    return answers["open"] == [only] and not answers["refused"], seen


def _ipv6(site: Site, gate: Machine) -> list[str]:
    """Return the IPv6 addresses that the client could reach the firewall at, itself included."""
    interface = _interface(site, gate, site.scenario.outer(gate))
    shown = site.run(gate.name, f"ip -6 -o addr show dev {interface}")
    return re.findall(r"inet6 ([0-9a-f:]+)/", shown)


def _interface(site: Site, machine: Machine, network: str) -> str:
    """Return the name of a machine's interface on a network; raises RuntimeError without one."""
    address = machine.addresses[network]
    found = re.search(r": (\S+)", site.run(machine.name, f"ip -4 -o addr show to {address}/32"))
    if not found:
        raise RuntimeError(f"{machine.name}: no network interface has {address}")
    return found[1]
