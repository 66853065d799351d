"""Who may come to a machine, by the table of flows: ports, and the addresses that come to each.

Rules of a machine's own, and what others who filter its packets are told, follow from here.
"""

from __future__ import annotations

from dataclasses import dataclass

from fabfile.scenario.flows import CONTROL, SSH, USERS, Flow
from fabfile.scenario.model import Scenario
from fabfile.scenario.parts import MANAGEMENT, Machine
from fabfile.tiers.tier import Listener


@dataclass(frozen=True)
class Entrance:
    """TCP ports of a machine, the first and the last, and who comes there; nobody is anybody."""

    listener: Listener
    ports: tuple[int, int]
    sources: tuple[str, ...]


def entrances(scenario: Scenario, machine: Machine) -> list[Entrance]:
    """Return what others need of a machine; SSH at the port that it is logged in on by."""
    found: dict[tuple[Listener, tuple[int, int]], dict[str, None]] = {}
    open_to_all: set[tuple[Listener, tuple[int, int]]] = set()
    for flow in scenario.flows:
        if flow.target in machine.tiers and flow.listener.protocol == "tcp":
            here = (flow.listener, _ports(scenario, flow, machine))
            sources = _sources(scenario, flow, machine)
            if sources is None:
                open_to_all.add(here)
            if sources != ():
                found.setdefault(here, {}).update(dict.fromkeys(sources or ()))
    return [
        Entrance(*here, () if here in open_to_all else tuple(sources))
        for here, sources in found.items()
    ]


def _ports(scenario: Scenario, flow: Flow, machine: Machine) -> tuple[int, int]:
    if flow.listener == SSH:
        return (machine.ssh.port or 22,) * 2
    return flow.listener.ports(scenario.ports)


def _sources(scenario: Scenario, flow: Flow, machine: Machine) -> tuple[str, ...] | None:
    """Return who comes from a tier: addresses or ranges, None for anybody."""
    if flow.source == USERS:
        return None
    if flow.source == CONTROL:
        # Any computer on that network may be the one that somebody sits at.
        if MANAGEMENT in machine.addresses:
            return (str(scenario.networks[MANAGEMENT]),)
        return None if flow.listener == SSH else ()
    others = [each for each in scenario.tier(flow.source) if each != machine]
    return tuple(scenario.address(each, seen_by=machine) for each in others)


def open_to_all(scenario: Scenario, machine: Machine) -> set[int]:
    """Return the TCP ports at which a machine that no firewall guards lets in anybody."""
    return {
        machine.ssh.port or 22,
        *(port for protocol, port in machine.open if protocol == "tcp"),
        *(each.ports[0] for each in entrances(scenario, machine) if not each.sources),
    }


def peers(scenario: Scenario, machine: Machine) -> tuple[str, ...]:
    """Return the addresses from which others tell a machine who has the addresses they share."""
    return tuple(
        str(peer.addresses[network])
        for peer in scenario.peers(machine)
        for network in scenario.shared(machine)
    )
