"""Says what is wrong with the machines of a scenario as a whole: addresses, numbers, ways.

Part of `fabfile.scenario.validation`: each check adds one sentence to `mistakes` and goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address
from itertools import combinations, product

from fabfile.scenario.flows import FLOWS, Flow
from fabfile.scenario.parts import MANAGEMENT, Machine
from fabfile.tiers import TIERS
from fabfile.tiers.tier import Tier


def check_addresses(machines: Sequence[Machine], mistakes: list[str]) -> None:
    """Say which addresses are used twice."""
    owners: dict[IPv4Address, str] = {}
    for machine in machines:
        for network, address in machine.addresses.items():
            where = f"MACHINES[{machine.name!r}][{network!r}]"
            owner = owners.setdefault(address, machine.name)
            if owner != machine.name:
                mistakes.append(f"{where} is {address}, which {owner} has already")


def check_tiers(machines: Sequence[Machine], mistakes: list[str]) -> None:
    """Say which tiers have too few or too many machines."""
    for tier in TIERS.values():
        if wrong := _count_wrong(tier, len(_of(tier.name, machines))):
            mistakes.append(wrong)


def _count_wrong(tier: Tier, count: int) -> str:
    of = f"of the tier {tier.name!r}"
    if tier.least <= count <= tier.most or (tier.optional and not count):
        return ""
    if count > tier.most:
        return f"MACHINES has {count} machines {of}, it may have {tier.most} at most"
    if tier.least == 1:
        return f"MACHINES has no machine {of} ({tier.people_say}); add one or more"
    why = f" {tier.why_least}" if tier.why_least else ""
    return f"MACHINES has {count} machine(s) {of}, it needs {tier.least} or more{why}"


def check_ways(machines: Sequence[Machine], mistakes: list[str]) -> None:
    """Say which machines cannot reach those that their tier asks, and where users cannot."""
    apart = [
        sentence
        for flow in FLOWS
        if TIERS[flow.source].inside
        and (not flow.listener.pair or len(_of(flow.listener.pair, machines)) > 1)
        for sentence in _strangers(flow, _of(flow.source, machines), _of(flow.target, machines))
    ]
    # A tier may ask another for several things, and its machines each other.
    mistakes += dict.fromkeys(apart)
    for gate in _of("firewall", machines):
        mistakes += _gate_wrong(gate, _of("balancer", machines))


def _strangers(flow: Flow, ours: Sequence[Machine], theirs: Sequence[Machine]) -> list[str]:
    return [
        f"MACHINES[{one.name!r}] and MACHINES[{other.name!r}] are on no common network, and "
        f"{TIERS[flow.source].people_say} asks {TIERS[flow.target].people_say} "
        f"({flow.listener.words}): give both an address on one"
        for one, other in _pairs(ours, theirs)
        if not one.addresses.keys() & other.addresses.keys()
    ]


def _pairs(ours: Sequence[Machine], theirs: Sequence[Machine]) -> Iterable[tuple[Machine, Machine]]:
    return combinations(ours, 2) if ours == theirs else product(ours, theirs)


def _gate_wrong(gate: Machine, balancers: Sequence[Machine]) -> list[str]:
    ways = gate.addresses.keys() - {MANAGEMENT}
    apart = [each for each in balancers if not ways & each.addresses.keys()]
    if apart:
        return [
            f"MACHINES[{gate.name!r}] and MACHINES[{each.name!r}] are on no common network but "
            f"{MANAGEMENT!r}: the users come to the balancer through the firewall"
            for each in apart
        ]
    if balancers and not ways - balancers[0].addresses.keys():
        return [
            f"MACHINES[{gate.name!r}] has no address on the users' side: a network other than "
            f"{MANAGEMENT!r}, and than the one to the balancer"
        ]
    return []


def _of(tier: str, machines: Sequence[Machine]) -> list[Machine]:
    return [machine for machine in machines if tier in machine.tiers]
