"""Addresses that the machines of a tier share: FLOATING of config.py, and what is wrong with it.

One of the machines has them at a time; whoever asks the tier asks there, whichever that is. Part of
`fabfile.scenario.validation`: what is wrong adds a sentence to `mistakes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any

from fabfile.scenario.machines import Networks, Table, listed
from fabfile.scenario.parts import MANAGEMENT, PUBLIC, Machine
from fabfile.tiers import TIERS

ENTRY = "FLOATING"
# tier -> network -> address
Floating = Mapping[str, Mapping[str, IPv4Address]]


def read_floating(
    entries: Table, networks: Networks, machines: Sequence[Machine], mistakes: list[str]
) -> Floating:
    """Return the addresses that tiers share, {} where each machine has all of its own."""
    given = entries.get(ENTRY, {})
    if not isinstance(given, dict):
        mistakes.append(f"{ENTRY} must be a dictionary of tier -> network -> address")
        return {}
    found = {
        tier: _of_tier(tier, shared, networks, machines, mistakes)
        for tier, shared in given.items()
        if _may_float(tier, mistakes)
    }
    for tier in TIERS.values():
        if tier.floats:
            _check_shared(tier.name, found.get(tier.name), machines, mistakes)
    _check_twice(found, mistakes)
    _check_alone(found, machines, mistakes)
    return {tier: shared for tier, shared in found.items() if shared}


def _may_float(tier: object, mistakes: list[str]) -> bool:
    known = [each.name for each in TIERS.values() if each.floats]
    if tier not in known:
        what = "a tier whose machines share no address" if tier in TIERS else "no tier"
        mistakes.append(f"{ENTRY} names {tier!r}, {what}; those that may are {listed(known)}")
    return tier in known


def _of_tier(
    tier: str, given: Any, networks: Networks, machines: Sequence[Machine], mistakes: list[str]
) -> dict[str, IPv4Address]:
    where = f"{ENTRY}[{tier!r}]"
    if not isinstance(given, dict):
        mistakes.append(f"{where} must be a dictionary of network -> address")
        return {}
    owners = {address: each.name for each in machines for address in each.addresses.values()}
    found = {}
    for network, text in given.items():
        here = f"{where}[{network!r}]"
        if network not in networks:
            mistakes.append(f"{here} names an unknown network; known are {listed(networks)}")
            continue
        try:
            address = IPv4Address(text)
        except ValueError:
            mistakes.append(f"{here} is {text!r}, which is not an IPv4 address")
            continue
        if address not in networks[network]:
            mistakes.append(f"{here} is {address}, outside its network {networks[network]}")
        elif address in owners:
            mistakes.append(
                f"{here} is {address}, which {owners[address]} has as its own: each machine of the "
                "tier needs an address beside the one that they share"
            )
        else:
            found[network] = address
        mistakes += [
            f"{here} is shared by machines on that network, and MACHINES[{each.name!r}] has no "
            "address there"
            for each in machines
            if tier in each.tiers and network not in each.addresses
        ]
    return found


def _check_shared(
    tier: str,
    shared: Mapping[str, IPv4Address] | None,
    machines: Sequence[Machine],
    mistakes: list[str],
) -> None:
    """Say where an address must be shared, and where nobody is there to share it."""
    members = [each for each in machines if tier in each.tiers]
    if shared is not None and len(members) < 2:
        mistakes.append(
            f"{ENTRY}[{tier!r}] names addresses that machines share, and MACHINES has "
            f"{len(members)} of the tier: give it the address itself, without {ENTRY}[{tier!r}]"
        )
    if len(members) > 1:
        mistakes += [
            f"MACHINES has {len(members)} machines of the tier {tier!r}, which others find on "
            f"{network!r}: say in {ENTRY}[{tier!r}][{network!r}] which address they share there"
            for network in _found_on(tier, members[0], machines)
            if network not in (shared or {})
        ]


def _found_on(tier: str, member: Machine, machines: Sequence[Machine]) -> list[str]:
    """Return the networks on which others find a tier, as far as it is known by now."""
    apart = [name for name in member.addresses if name != MANAGEMENT]
    if tier == "firewall":
        return apart
    for asking in ("app",) if tier == "database" else ("firewall", "client"):
        for other in machines:
            if asking in other.tiers:
                met = [name for name in apart if name in other.addresses]
                return [PUBLIC] if PUBLIC in met and asking == "client" else met[:1]
    return [PUBLIC] if PUBLIC in apart else apart[:1]


def _check_alone(floating: Floating, machines: Sequence[Machine], mistakes: list[str]) -> None:
    for machine in machines:
        tiers = [tier for tier in machine.tiers if tier in floating]
        if len(tiers) > 1:
            mistakes.append(
                f"MACHINES[{machine.name!r}] shares addresses of {' and '.join(tiers)}: a machine "
                "can do so for one tier only"
            )


def _check_twice(floating: Floating, mistakes: list[str]) -> None:
    owners: dict[IPv4Address, str] = {}
    for tier, shared in floating.items():
        for network, address in shared.items():
            owner = owners.setdefault(address, tier)
            if owner != tier:
                mistakes.append(
                    f"{ENTRY}[{tier!r}][{network!r}] is {address}, which the tier {owner!r} has"
                )
