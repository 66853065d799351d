"""All machines are lost: what the second place has is brought onto empty ones."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace

from fabfile import pipeline
from fabfile.engine.converge import Stage
from fabfile.engine.remote import MachineError, Remote
from fabfile.operations import restoring
from fabfile.operations.backups import moment_of
from fabfile.operations.deployment import bring
from fabfile.operations.progress import console
from fabfile.operations.session import operation, refuse, scenario
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.database import restoring as database
from fabfile.tiers.database.members import primary
from fabfile.tiers.storage import backup, repository
from fabfile.tiers.storage.backup_checks import without

# Of the storage servers' stages, those before anything makes backups.
BEFORE = ("guard", "storage", "volume", "bricks")


def restore(to: str, yes: bool, wait: bool) -> None:
    """Deploy storage servers, fetch the backups, and bring back database and uploads.

    Raises Exit when that cannot be, or fails; run again, it goes on where it stopped.
    """
    started = time.monotonic()
    wanted = scenario()
    if wanted.second_place is None:
        raise refuse(f"SECOND_PLACE in {wanted.source.name} names no place to bring it from.")
    if not repository.keepers(wanted):
        raise refuse(f"{wanted.name} has no backups: {without(wanted)}.")
    if wrong := restoring.several(wanted):
        raise refuse(wrong)
    moment = moment_of(to)
    machine = primary(wanted)
    if not yes:
        restoring.agree(restoring.said_beforehand(wanted, machine, moment))
    console.print(f"bringing back what {wanted.second_place.name} has", markup=False)
    _refuse_database(wanted, machine)
    names = [each.name for each in wanted.tier("storage")]
    with operation(wanted, names, "backup.restore", wait) as remotes:
        bring(wanted, _before(wanted), remotes, started)
        # And then what makes new ones.
        bring(wanted, _of(wanted, ("backup",)), remotes, time.monotonic())
    restoring.restore(to, True, wait)
    console.print("'fab deploy' brings the rest")


def _refuse_database(wanted: Scenario, machine: Machine) -> None:
    """Raise Exit when there is a database: what it holds is newer than what is brought."""
    with closing(Remote(machine.name, machine.ssh)) as remote:
        try:
            there = remote.run(database.has_database(wanted), seconds=20).code == 0
        except MachineError as error:
            raise refuse(str(error)) from None
    if there:
        raise refuse(
            f"{machine.name} has a database, and what the second place has is older: 'fab deploy' "
            f"backs up what is there; or move it away on {machine.name}, to have the older one."
        )


def _of(wanted: Scenario, names: tuple[str, ...]) -> list[Stage]:
    """Return stages of the pipeline, for storage servers alone."""
    servers = {each.name for each in wanted.tier("storage")}
    return [
        replace(each, machines=tuple(name for name in each.machines if name in servers))
        for each in pipeline.stages(wanted)
        if each.name in names
    ]


def _before(wanted: Scenario) -> list[Stage]:
    first = repository.beginner(wanted)
    fetch = Stage(
        "fetch", (first.name,), lambda _: backup.fetched(wanted, first), after=("bricks",)
    )
    return [*_of(wanted, BEFORE), fetch]
