"""Keeps a database that was there from being taken for one that has never been.

A machine of the database's name may be a new one, or its data disk may not be mounted: both look
like the first deployment. This computer and the app servers know better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

from fabfile.engine.change import Change
from fabfile.engine.converge import Plan
from fabfile.engine.remote import MachineError, Remote
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.app import state as app
from fabfile.tiers.database import notes
from fabfile.tiers.database import state as database
from fabfile.tiers.storage import repository
from fabfile.tiers.storage import state as storage
from fabfile.tiers.storage.volumes import backups


def emptiness(wanted: Scenario, plan: Plan) -> str:
    """Return why a plan must not be carried out, "" when no database that was there is made again.

    Asks the app servers where it would be made.
    """
    return _reason(wanted, plan) if _makes(wanted, plan, database.creation(wanted)) else ""


def warned(wanted: Scenario, plan: Plan) -> Plan:
    """Return the plan, in which a machine that finds no database refuses for the same reason."""
    key = database.search(wanted)
    if not _makes(wanted, plan, key):
        return plan
    reason = _reason(wanted, plan)
    files = {database.WARNING: f"{reason}\n".encode() if reason else b""}

    def guarded(changes: Sequence[Change]) -> list[Change]:
        return [replace(each, files=files) if each.key == key else each for each in changes]

    return {
        stage: {machine: guarded(changes) for machine, changes in machines.items()}
        for stage, machines in plan.items()
    }


def _reason(wanted: Scenario, plan: Plan) -> str:
    """Return since when who knows of the database, and what to do; "" when it is the first."""
    name = wanted.application.database
    witnesses = {"this computer": notes.known_since(wanted.state, wanted.application.name)}
    machines = wanted.present("app")
    with ThreadPoolExecutor(max(1, len(machines))) as pool:
        served = pool.map(_first_served(wanted), machines)
        witnesses |= {each.name: since for each, since in zip(machines, served, strict=True)}
    known = {who: since for who, since in witnesses.items() if since}
    if not known:
        return ""
    machine = " or ".join(each.name for each in wanted.tier("database"))
    since = min(known.values()).replace("T", " ").replace("Z", " UTC")
    # Where the backups' volume is still to be made, it has none.
    lost = _has(plan, storage.making(backups(wanted)))
    option = " --from-second-place" if wanted.second_place and lost else ""
    back = ""
    if repository.keepers(wanted):
        back = f"To have it again: invoke backup.restore{option}. "
    return (
        f"{machine} has no database {name}, and {wanted.name} has had one since {since}, as "
        f"{', '.join(known)} can tell: is it the right machine, and its data disk mounted? "
        f"{back}To begin with an empty one: fab deploy --new-database."
    )


def note(wanted: Scenario) -> None:
    """Note on this computer that the application's database is there."""
    notes.note(wanted.state, wanted.application.name)


def _makes(wanted: Scenario, plan: Plan, key: str) -> bool:
    """Tell whether it is made: of a pair, who lacks it takes a copy where another one has it."""
    lacking = {machine for machine, changes in _of(plan) if any(c.key == key for c in changes)}
    there = {each.name for each in wanted.present("database")}
    return not wanted.new_database and bool(lacking) and there <= lacking


def _has(plan: Plan, key: str) -> bool:
    return any(change.key == key for _, changes in _of(plan) for change in changes)


def _of(plan: Plan) -> Iterator[tuple[str, Sequence[Change]]]:
    """Return each machine with its changes in a stage."""
    for machines in plan.values():
        yield from machines.items()


def _first_served(wanted: Scenario) -> Callable[[Machine], str]:
    def ask(machine: Machine) -> str:
        with closing(Remote(machine.name, machine.ssh)) as remote:
            try:
                script = f"head -n 1 {app.home(wanted)}/history 2>/dev/null || :"
                words = remote.run(script, seconds=20).text.split()
            except MachineError:
                return ""  # the others can tell
            return words[0] if words else ""

    return ask
