"""What a machine must let in, for whoever else filters its packets."""

from __future__ import annotations

from fabfile.engine.resources.neighbours import Neighbours
from fabfile.scenario import Machine, Scenario
from fabfile.scenario.callers import Entrance, entrances


def neighbours(scenario: Scenario, machine: Machine) -> Neighbours:
    """Return what tells of others on a machine, and what they must let in."""
    return Neighbours(", ".join(map(_said, entrances(scenario, machine))))


def _said(entrance: Entrance) -> str:
    first, last = entrance.ports
    ports = str(first) if first == last else f"{first} to {last}"
    return f"TCP {ports} from {' '.join(entrance.sources) or 'everybody'}"
