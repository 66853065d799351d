"""Turns VNX files, one or several, into the entries of one scenario."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from fabfile.scenario.parts import MANAGEMENT
from fabfile.scenario.vnx.names import MANAGEMENT_INTERFACE, VnxError, tier_of
from fabfile.scenario.vnx.reading import Notes, VirtualMachine, VnxFile

BRICK = "/nas/brick"


@dataclass(frozen=True)
class Imported:
    """The entries of a scenario, and a sentence for each thing that was not taken over."""

    name: str
    networks: dict[str, str]
    machines: dict[str, dict[str, Any]]
    brick: str
    notes: tuple[str, ...]


def merged(files: Sequence[VnxFile]) -> Imported:
    """Return the scenario that files describe together: a later one adds machines, or replaces.

    Raises VnxError with every mistake.
    """
    mistakes: list[str] = []
    notes = Notes()
    first = files[0]
    machines: dict[str, VirtualMachine] = {}
    origin: dict[str, str] = {}
    for file in files:
        if file.management != first.management:
            mistakes.append(
                f"vm_mgmt is {file.management} in {file.file} and {first.management} in "
                f"{first.file}: make them one network."
            )
        for machine in file.machines:
            if machine.name in origin:
                notes.add(f"taken from {file.file}, not from {origin[machine.name]}", machine.name)
            origin[machine.name] = file.file
            machines[machine.name] = machine
    left_out = [name for name in machines if not tier_of(name)]
    for name in left_out:
        notes.add("left out: its name says no tier", name)
    host = next((file.host for file in files if file.host.interfaces), first.host)
    known = {"control": host, **{n: each for n, each in machines.items() if n not in left_out}}
    _note_all(files, origin, notes)
    networks = _networks([*known.values()], files, mistakes)
    if mistakes:
        raise VnxError(mistakes)
    return Imported(
        _name(first),
        {**networks, MANAGEMENT: str(first.management)},
        {name: _entry(name, machine) for name, machine in known.items()},
        _brick([*known.values()]),
        tuple(notes.lines()),
    )


def _note_all(files: Sequence[VnxFile], origin: dict[str, str], notes: Notes) -> None:
    """Add what each file's own reading has noted of the machines that are taken from it."""
    for file in files:
        for sentence, names in file.notes.machines.items():
            for name in names:
                if origin.get(name, file.file) == file.file:
                    notes.add(sentence, name)


def _networks(
    machines: Sequence[VirtualMachine], files: Sequence[VnxFile], mistakes: list[str]
) -> dict[str, str]:
    """Return the range of each network: VNX's have none, so it is that of its interfaces."""
    ranges: dict[str, IPv4Network] = {}
    said: dict[str, str] = {}
    for machine in machines:
        for interface in machine.interfaces:
            name, range_ = interface.network.lower(), interface.address.network
            if name == MANAGEMENT:
                mistakes.append(
                    f"A network must not be called {MANAGEMENT}: vm_mgmt is; rename it."
                )
            elif ranges.setdefault(name, range_) != range_:
                mistakes.append(
                    f"{interface.network} is {ranges[name]} at {said[name]} and {range_} at "
                    f"{machine.name}: give all its interfaces one range."
                )
            said.setdefault(name, machine.name)
    order = [name.lower() for file in files for name in file.networks]
    mistakes[:] = dict.fromkeys(mistakes)
    names = dict.fromkeys([*order, *ranges])
    return {name: str(ranges[name]) for name in names if name in ranges}


def _entry(name: str, machine: VirtualMachine) -> dict[str, Any]:
    addresses = {each.network.lower(): str(each.address.ip) for each in machine.interfaces}
    entry: dict[str, Any] = {"tier": tier_of(name) or "control", **addresses}
    entry[MANAGEMENT] = str(machine.management)
    if name != "control":
        numbered = {each.network.lower(): f"eth{each.number}" for each in machine.interfaces}
        entry["interfaces"] = {**numbered, MANAGEMENT: MANAGEMENT_INTERFACE}
    if machine.routes:
        entry["routes"] = {str(to): str(via) for to, via in machine.routes.items()}
    return entry


def _brick(machines: Sequence[VirtualMachine]) -> str:
    """Return where the storage servers keep their bricks: in what they share with the host."""
    shared = {each.shared for each in machines if tier_of(each.name) == "storage"} - {""}
    return f"{shared.pop().rstrip('/')}/brick" if len(shared) == 1 else BRICK


def _name(file: VnxFile) -> str:
    """Return the scenario's name in what a host name may hold."""
    given = file.name or file.file.partition(".")[0]
    return re.sub(r"[^a-z0-9]+", "-", given.lower())[:60].strip("-") or "vnx"
