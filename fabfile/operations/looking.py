"""Backups brought into a place of their own: for a person to look at, or to compare."""

from __future__ import annotations

import re
import time
from contextlib import closing

from invoke.exceptions import Exit

from fabfile.engine.remote import MachineError, Remote
from fabfile.operations.backups import keeper, moment_of, past_of, run
from fabfile.operations.progress import console
from fabfile.operations.restoring import impossible, way_to
from fabfile.operations.session import refuse, scenario
from fabfile.scenario import Scenario
from fabfile.tiers.database import scratch
from fabfile.tiers.database.members import primary
from fabfile.tiers.storage import backup, repository

# A name of a database and of a directory: no quotes are needed for it anywhere.
NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


def restore_into(to: str, name: str) -> None:
    """Make a database, and a directory of uploads, of what was then; raises Exit."""
    wanted = scenario()
    if not NAME.fullmatch(name):
        raise refuse(f"--into is {name!r}, it must be lower-case letters, digits and '_'.")
    if name in {"postgres", *(each.database for each in wanted.applications)}:
        raise refuse(f"--into is {name!r}, which is a database that is used: name a new one.")
    moment = moment_of(to)
    found = past_of(wanted)
    if wrong := impossible(wanted, found, moment):
        raise refuse(wrong)
    machine = primary(wanted)
    place = f"{repository.MOUNT}/{name}"
    with closing(keeper(wanted)) as storage, closing(Remote(machine.name, machine.ssh)) as remote:
        if storage.run(f"[ ! -e {place} ]").code:
            raise refuse(f"{place} is there already on {storage.name}: name another one.")
        until = moment.timestamp() if moment else time.time()
        _run(wanted, storage, backup.room_for_uploads(wanted, until, place))
        _run(wanted, remote, scratch.into(wanted, name, way_to(found, moment)))
        _run(wanted, storage, backup.bring_uploads(wanted, f"into {until} {place}"))
    console.print(
        f"on {machine.name}: the database {name} ('sudo -u postgres psql {name}' there); on "
        f"{storage.name}: uploads in {place}. 'sudo -u postgres dropdb {name}' and 'rm -r {place}' "
        "remove them",
        markup=False,
    )


def check() -> None:
    """Compare what the backups hold with what there is; raises Exit when that differs."""
    wanted = scenario()
    machine = primary(wanted)
    with closing(keeper(wanted)) as storage, closing(Remote(machine.name, machine.ssh)) as remote:
        _run(wanted, remote, scratch.check(wanted))
        _run(wanted, storage, backup.read_uploads(wanted))


def _run(wanted: Scenario, remote: Remote, shell: str) -> None:
    """Run something for as long as it takes and show what it says; raises Exit when it fails."""
    try:
        code, said = run(wanted, remote, shell)
    except MachineError as error:
        raise Exit(str(error), 1) from None
    if code:
        raise Exit(f"{remote.name}: {said or f'exit code {code}'}", 1)
    for line in said.splitlines():
        console.print(f"{remote.name}: {line}", markup=False)
