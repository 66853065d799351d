"""Which app servers a scenario has: the scenario with more of them, or with fewer.

Nothing is changed on any machine here. What cannot be is refused with a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from invoke.exceptions import Exit

from fabfile.lab import machines as containers
from fabfile.operations.session import refuse, scenario
from fabfile.scenario import Machine, Scenario, ScenarioError, load
from fabfile.scenario.addresses import AddressError, allocate
from fabfile.scenario.debian import DEFAULT
from fabfile.scenario.inventory import Inventory
from fabfile.scenario.machines import HOST_NAME
from fabfile.scenario.parts import MANAGEMENT


def addresses(texts: Sequence[str]) -> dict[str, str]:
    """Return network -> address of what a person gave as NETWORK=ADDRESS; raises Exit."""
    networks = scenario().networks
    found = {}
    for text in texts:
        network, sign, address = text.partition("=")
        if not sign or network not in networks:
            raise refuse(
                f"--address is {text!r}, it must be NETWORK=ADDRESS; networks are "
                f"{', '.join(networks)}."
            )
        found[network] = address
    return found


def with_servers(
    before: Scenario, names: Sequence[str], host: str, given: Mapping[str, str]
) -> Scenario:
    """Return the scenario with more servers in it; raises Exit when it cannot have them."""
    described = loaded(before, Inventory())
    grown = before
    for name in names:
        if not HOST_NAME.fullmatch(name):
            raise refuse(
                f"{name!r} is not a valid host name: lower-case letters, digits and inner hyphens."
            )
        for machine in grown.machines:
            if machine.name == name:
                raise refuse(f"The name {name} is in use: a machine of the tier {_tiers(machine)}.")
        entry = None
        if name in [machine.name for machine in described.machines]:
            if host or given:
                raise refuse(f"{name} stands in config.py with its addresses: add it by its name.")
        else:
            entry = _entry(name, grown, described, host, given)
        grown = loaded(before, grown.inventory.adding(name, entry))
    return grown


def _entry(
    name: str, grown: Scenario, described: Scenario, host: str, given: Mapping[str, str]
) -> dict[str, Any]:
    """Return a new server's entry, as it would stand in MACHINES."""
    if not host and containers.there(grown.lab) is None:
        raise refuse(
            f"There is no lab on this computer to make {name} in: start it by lab.up, "
            "or name a machine by --host user@address."
        )
    addresses = {name for server in grown.tier("app") for name in server.addresses}
    # Where the other servers are; a machine elsewhere is logged in on at its own address.
    networks = [
        name for name in grown.networks if name in addresses and not (host and name == MANAGEMENT)
    ]
    # Those of removed servers stay theirs: the machines may still run, and come back.
    taken = {
        address: machine.name
        for machine in (*described.machines, *grown.machines)
        for address in machine.addresses.values()
    }
    try:
        found = allocate(name, {key: grown.networks[key] for key in networks}, taken, given)
    except AddressError as error:
        raise refuse(f"{error}.") from None
    entry: dict[str, Any] = {"tier": "app", **found}
    if host:
        return {**entry, "ssh": host}
    # The lab makes it like the server that builds for it: the same release of Debian, and the
    # same names of interfaces.
    like = grown.builder
    if like.release != DEFAULT.codename:
        entry["release"] = like.release
    if interfaces := {name: like.interfaces[name] for name in found if name in like.interfaces}:
        entry["interfaces"] = interfaces
    return entry


def without_servers(before: Scenario, names: Sequence[str]) -> Scenario:
    """Return the scenario without some servers; unknown ones may be half-added. Raises Exit."""
    inventory = before.inventory
    for name in names:
        found = [machine for machine in before.machines if machine.name == name]
        if found and "app" not in found[0].tiers:
            raise refuse(f"{name} is no app server but of the tier {_tiers(found[0])}.")
        if not found and not HOST_NAME.fullmatch(name):
            raise refuse(unknown(before, names))
        inventory = inventory.removing(name) if found else inventory
    if not {machine.name for machine in before.tier("app")} - {*names}:
        raise refuse(f"{', '.join(names)} would leave no app server: add another one first.")
    return loaded(before, inventory)


def _tiers(machine: Machine) -> str:
    return " and ".join(machine.tiers)


def loaded(before: Scenario, inventory: Inventory) -> Scenario:
    """Return the scenario with another inventory; raises Exit with all that is wrong with it."""
    try:
        return load(before.source, inventory, before.states)
    except ScenarioError as error:
        raise Exit(str(error), 1) from None


def unknown(before: Scenario, names: Sequence[str]) -> str:
    """Return the sentence for names of no app server."""
    known = ", ".join(machine.name for machine in before.tier("app"))
    return f"There is no app server {', '.join(names)}; there are {known}."
