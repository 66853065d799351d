"""Plans: what the machines have, compared with what they must have; nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import TypeVar

from fabfile.engine import script
from fabfile.engine.change import Change, Compared, Noted, Refused, Resource
from fabfile.engine.converge import DONE, LOOK, MachineErrors, OnStep, Plan, Stage, everywhere
from fabfile.engine.remote import MachineError, Remote

# machine -> what it must have, each with its stage
Wanted = dict[str, list[tuple[str, Resource]]]
# machine -> the system it runs, and the facts of each resource
Looks = dict[str, tuple[str, list[str]]]
Place = TypeVar("Place")


def make_plan(
    stages: Sequence[Stage],
    remotes: Mapping[str, Remote],
    on_step: OnStep = lambda *_: None,
    systems: MutableMapping[str, str] | None = None,
    notes: MutableSequence[str] | None = None,
) -> Plan:
    """Look at every machine of the stages and return what must change.

    `on_step` gets machine, LOOK and what is done to look at it. `systems` holds what each machine
    was known to run, and then what it says: one that must have something else for that is looked
    at again. `notes` gets what the person should know of the machines. Raises MachineErrors.
    """
    known: MutableMapping[str, str] = {} if systems is None else systems
    wanted = _wanted(stages)
    looks = _look(wanted, remotes, on_step)
    said = {name: system for name, (system, _) in looks.items()}
    if any(known.get(name) != system for name, system in said.items()):
        known.update(said)
        other = {name: has for name, has in _wanted(stages).items() if _differ(has, wanted[name])}
        looks |= _look(other, remotes, on_step)
        wanted |= other
    if notes is not None:
        notes.extend(_noted(wanted, looks))
    return _planned(wanted, looks)


def _noted(wanted: Wanted, looks: Looks) -> list[str]:
    return [
        f"{machine}: {note}"
        for machine, resources in wanted.items()
        for (_, resource), facts in zip(resources, looks[machine][1], strict=True)
        if isinstance(resource, Noted)
        for note in resource.notes(facts)
    ]


def _wanted(stages: Sequence[Stage]) -> Wanted:
    wanted: Wanted = {}

    def add(stage: Stage, machine: str) -> None:
        found = [(stage.name, resource) for resource in stage.desired(machine)]
        wanted.setdefault(machine, []).extend(found)

    places = [(stage, machine) for stage in stages for machine in stage.machines]
    _all(places, lambda place: add(*place), lambda place: place[1])
    return wanted


def _differ(one: list[tuple[str, Resource]], other: list[tuple[str, Resource]]) -> bool:
    """Tell whether other things are asked for: the look was one for another system."""
    asked, again = ([resource for _, resource in each] for each in (one, other))
    return script.questions(asked) != script.questions(again)


def _look(wanted: Wanted, remotes: Mapping[str, Remote], on_step: OnStep) -> Looks:
    """Return what is on each machine, with one round trip each."""

    def look(remote: Remote) -> tuple[str, list[str]]:
        on_step(remote.name, LOOK, "connect")
        remote.connect()
        on_step(remote.name, LOOK, "read its state")
        looked = script.probe(remote, [resource for _, resource in wanted[remote.name]])
        on_step(remote.name, LOOK, DONE)
        return looked

    return everywhere([remotes[name] for name in wanted], look)


def _planned(wanted: Wanted, looks: Looks) -> Plan:
    plan: dict[str, dict[str, list[Change]]] = {}
    changed: dict[str, set[str]] = {name: set() for name in wanted}
    facts_of: dict[str, dict[str, str]] = {}

    def add(place: tuple[str, str, Resource, str]) -> None:
        machine, stage, resource, facts = place
        if isinstance(resource, Compared):
            change = resource.among(machine, facts_of[resource.key], changed[machine])
        else:
            change = resource.plan(facts, changed[machine])
        if change:
            changed[machine].add(change.key)
            plan.setdefault(stage, {}).setdefault(machine, []).append(change)

    places = [
        (machine, stage, resource, facts)
        for machine, resources in wanted.items()
        for (stage, resource), facts in zip(resources, looks[machine][1], strict=True)
    ]
    for machine, _, resource, facts in places:
        if isinstance(resource, Compared):
            facts_of.setdefault(resource.key, {})[machine] = facts
    _all(places, add, lambda place: place[0])
    return plan


def _all(
    places: Sequence[Place], work: Callable[[Place], None], machine: Callable[[Place], str]
) -> None:
    """Work on all places; raises MachineErrors with every refusal, each once."""
    refused: dict[str, MachineError] = {}
    for place in places:
        try:
            work(place)
        except Refused as refusal:
            error = MachineError(machine(place), str(refusal))
            refused.setdefault(str(error), error)
    if refused:
        raise MachineErrors(list(refused.values()))
