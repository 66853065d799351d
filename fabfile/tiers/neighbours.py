"""What a machine must let in, for whoever else filters its packets."""

from __future__ import annotations

from fabfile.engine.resources.neighbours import Neighbours
from fabfile.scenario import Machine, Scenario
from fabfile.scenario.flows import FLOWS, USERS


def neighbours(scenario: Scenario, machine: Machine) -> Neighbours:
    """Return what tells of others on a machine, and what they must let in."""
    needs: dict[str, list[str]] = {}
    for flow in FLOWS:
        if flow.target not in machine.tiers or flow.listener.protocol != "tcp":
            continue
        first, last = flow.listener.ports(scenario.ports)
        if flow.listener.name == "ssh" and machine.login and machine.login.port:
            first = last = machine.login.port
        ports = str(first) if first == last else f"{first} to {last}"
        needs.setdefault(f"TCP {ports}", []).extend(_sources(scenario, flow.source, machine))
    return Neighbours(
        ", ".join(f"{ports} from {' '.join(dict.fromkeys(who))}" for ports, who in needs.items())
    )


def _sources(scenario: Scenario, tier: str, machine: Machine) -> list[str]:
    """Return who comes from a tier: addresses, or words where those are unknown."""
    if tier == USERS:
        return ["everybody"]
    others = [each for each in scenario.tier(tier) if each.login and each != machine]
    return [scenario.address(each, seen_by=machine) for each in others] or ["this computer"]
