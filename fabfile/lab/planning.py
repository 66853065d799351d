"""What the lab has to do for the machines that are asked of it; nothing is done here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fabfile.lab import render
from fabfile.lab.machines import Record
from fabfile.scenario import Machine, Scenario


@dataclass(frozen=True)
class Request:
    """What is asked of the lab; empty `machines` means all.

    `bare` None keeps each machine as it was made; `rough` ones are bare, with oddities. `packages`
    and `public_keys` are by machine.
    """

    action: str
    machines: tuple[str, ...] = ()
    bare: bool | None = None
    rough: bool = False
    kill: bool = False
    images: bool = False
    images_from: str = ""
    packages: Mapping[str, list[str]] = field(default_factory=dict)
    public_keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What `up` has to do; `create` says why for each machine."""

    create: Mapping[str, str]
    start: tuple[str, ...]
    remove: tuple[str, ...]


def lab_machines(scenario: Scenario) -> list[Machine]:
    """Return the machines that are containers: all but this computer."""
    return [machine for machine in scenario.machines if "control" not in machine.tiers]


def plan(
    scenario: Scenario,
    request: Request,
    records: Mapping[str, Record | None],
    running: Iterable[str],
) -> Plan:
    """Return what is to be done to have the machines asked for, and only those of the scenario."""
    create, begin = {}, []
    for machine in lab_machines(scenario):
        if request.machines and machine.name not in request.machines:
            continue
        record = records.get(machine.name)
        reason = _why_again(scenario, machine, record, request)
        if reason:
            create[machine.name] = "" if machine.name not in records else reason
        elif machine.name not in running:
            begin.append(machine.name)
    known = {machine.name for machine in lab_machines(scenario)}
    gone = () if request.machines else tuple(name for name in records if name not in known)
    return Plan(create, tuple(begin), gone)


def _why_again(
    scenario: Scenario, machine: Machine, record: Record | None, request: Request
) -> str:
    """Return why a machine cannot stay as it is, "" when it can."""
    if not record:
        return "its making was cut short"
    if (kind := wanted_kind(request, record)) != record.kind:
        return f"it was {record.kind}, {kind} is wanted"
    now, then = render.definition(scenario, machine), record.definition
    changes = [
        f"{name} was {then.get(name) or 'absent'}, is {now.get(name) or 'absent'}"
        for name in [*now, *(then.keys() - now.keys())]
        if then.get(name) != now.get(name)
    ]
    if not changes and not all(Path(layer).is_dir() for layer in record.layers):
        return "its image is gone"
    return "; ".join(changes)


def wanted_kind(request: Request, record: Record | None) -> str:
    """Return what a machine is to be: as asked, else as it was, else prepared."""
    if request.bare is None:
        return record.kind if record else "prepared"
    return "rough" if request.rough else "bare" if request.bare else "prepared"
