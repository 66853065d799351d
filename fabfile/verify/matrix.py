"""Every machine against every other: what the table of flows promises is open, and nothing else.

Tried from each machine: what anyone listens on, and samples of what nobody should. It complements
the scan of the perimeter, which goes from the users' side inwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fabfile.scenario import Machine, Scenario
from fabfile.scenario.callers import open_to_all
from fabfile.scenario.flows import USERS, Flow
from fabfile.tiers import TIERS
from fabfile.verify.check import Check, Site, judged, together

PROGRAM = Path(__file__).parent / "programs" / "reach.py"
SAMPLES = (22, 23, 111, 445, 2049, 3306, 8080)
SHOWN = 12

Target = tuple[str, int]  # address, port


@dataclass(frozen=True)
class Way:
    """A TCP port of a machine, as another one comes to it; both by their names."""

    source: str
    target: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.source} to {self.target}:{self.port}"


def checks(site: Site) -> list[Check]:
    """Try all ways between the machines; what is open beyond the table is a warning."""
    if len(site.scenario.inside) < 2:
        return []
    found: list[tuple[frozenset[Way], frozenset[Way], frozenset[Way]]] = []

    def needed() -> tuple[bool, str]:
        found.append(_tried(site))
        ways, open_, wanted = found[0]
        missing = sorted(map(str, wanted - open_))
        seen = f"{len(wanted)} ways of {len(ways)} tried"
        return not missing, f"{seen}; closed: {_some(missing)}" if missing else seen

    check = judged("perimeter: every machine reaches what it needs of the others", needed)
    return [check, _beyond(site.scenario, *found[0])] if found else [check]


def _beyond(
    scenario: Scenario, ways: frozenset[Way], open_: frozenset[Way], wanted: frozenset[Way]
) -> Check:
    """Return what is open beyond the table, told by tier.

    Behind a firewall it is a warning, which fails nothing. Where each machine has rules of its own
    it is false; SSH these let in from anywhere, and other things where config.py says so.
    """
    guarded = scenario.guarded
    extra = {
        way
        for way in open_ - wanted
        if not (guarded and way.port in open_to_all(scenario, scenario.machine(way.target)))
    }
    doors: dict[str, set[str]] = {}
    for way in extra:
        source = "+".join(scenario.machine(way.source).tiers)
        doors.setdefault(_door(scenario, way), set()).add(source)
    kinds = [f"{door} from {' and '.join(sorted(doors[door]))}" for door in sorted(doors)]
    seen = f"{len(extra)} of {len(ways) - len(wanted)} are open: {_some(kinds)}"
    return Check(
        "perimeter: between the machines nothing else is open",
        not (extra and guarded),
        seen if extra else f"{len(ways) - len(wanted)} tried",
        warning=bool(extra and not guarded),
    )


def _door(scenario: Scenario, way: Way) -> str:
    """Return what is open, as the table names it, or else tier and port."""
    target = scenario.machine(way.target)
    if way.port == (target.ssh.port or 22):
        return f"{'+'.join(target.tiers)}.ssh"
    for tier in target.tiers:
        for listener in TIERS[tier].listens:
            first, last = listener.ports(scenario.ports)
            if first <= way.port <= last:
                return f"{tier}.{listener.name}"
    return f"{'+'.join(target.tiers)}:{way.port}"


def _some(words: list[str]) -> str:
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more


def _tried(site: Site) -> tuple[frozenset[Way], frozenset[Way], frozenset[Way]]:
    """Return the ways that were tried, those that are open, and those that must be."""
    there = [each for each in site.scenario.machines if each.name in site.listening]
    listening = {machine.name: _listening(site, machine) for machine in there}
    targets = [machine for machine in site.scenario.inside if machine in there]
    wanted = _wanted(site.scenario, there, listening)
    ways = wanted | {
        Way(source.name, target.name, address, port)
        for source in there
        for target in targets
        if source != target
        for address in _addresses(site.scenario, source, target)
        for port in {*listening[target.name], *SAMPLES}
    }

    def accepted(source: Machine) -> set[Target]:
        tried = sorted({(way.address, way.port) for way in ways if way.source == source.name})
        return {(address, port) for address, port in site.program(source.name, PROGRAM, tried)}

    open_ = together(there, accepted)
    return (
        frozenset(ways),
        frozenset(way for way in ways if (way.address, way.port) in open_[way.source]),
        frozenset(wanted),
    )


def _listening(site: Site, machine: Machine) -> set[int]:
    """Return the TCP ports that a machine listens on for others."""
    own = ("127.", "[::1]")
    return {port for address, port in site.listening[machine.name] if not address.startswith(own)}


def _addresses(scenario: Scenario, source: Machine, target: Machine) -> list[str]:
    """Return where a machine could look for another: on common networks, else at all of them."""
    met = [name for name in target.addresses if name in source.addresses]
    return [str(target.addresses[name]) for name in met or target.addresses]


def _wanted(
    scenario: Scenario, there: Iterable[Machine], listening: Mapping[str, set[int]]
) -> set[Way]:
    """Return the ways that the table promises between machines that were reached."""
    names = {machine.name for machine in there}
    return {
        way
        for flow in scenario.flows
        if flow.listener.protocol == "tcp"
        for source in scenario.tier(flow.source)
        for target in scenario.tier(flow.target)
        if source != target and {source.name, target.name} <= names
        for way in _ways(scenario, flow, source, target, listening[target.name])
    }


def _ways(
    scenario: Scenario, flow: Flow, source: Machine, target: Machine, listening: set[int]
) -> list[Way]:
    users = flow.source == USERS
    address = scenario.entry if users else scenario.address(target, seen_by=source)
    first, last = flow.listener.ports(scenario.ports)
    # Of a range, those that are in use now.
    ports = [first] if first == last else [port for port in listening if first <= port <= last]
    return [Way(source.name, target.name, address, port) for port in ports]
