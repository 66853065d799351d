"""Backups made and shown, and the storage server that is asked for them."""

from __future__ import annotations

import json
import time
from contextlib import closing
from datetime import datetime

from invoke.exceptions import Exit
from rich.table import Table

from fabfile.engine.remote import MachineError, Remote
from fabfile.operations.progress import console, hide
from fabfile.operations.session import refuse, scenario
from fabfile.scenario import Scenario
from fabfile.scenario.credentials import known_secrets
from fabfile.tiers.storage import backup, past, repository, second_place
from fabfile.tiers.storage.backup_checks import ago, without
from fabfile.tiers.storage.past import Past

# A backup takes as long as it takes.
SECONDS = 24 * 3600
SHOWN = "%Y-%m-%d %H:%M:%S"


def make(kind: str, take: bool = False) -> None:
    """Back up database and uploads on the first storage server that can; raises Exit if not.

    And copy the backups to the second place, if there is one; `take` it, whatever it has.
    """
    wanted = scenario()
    started = time.monotonic()
    steps = [backup.run(kind, gently=True), backup.run_uploads(wanted, "now", gently=True)]
    if wanted.second_place:
        steps.append(second_place.run(wanted, "take" if take else "now"))
    with closing(keeper(wanted)) as remote:
        for shell in steps:
            code, said = run(wanted, remote, shell)
            if code:
                raise Exit(f"{remote.name}: {said}", 1)
    console.print(f"backed up by {remote.name} in {time.monotonic() - started:.1f} s")


def run(wanted: Scenario, remote: Remote, shell: str) -> tuple[int, str]:
    """Run something for as long as it takes; return its exit code, and what it said.

    For what it waits is printed as soon as it says so.
    """

    def on_line(line: str) -> None:
        if line.startswith(repository.WAITING):
            console.print(f"{remote.name}: {line}", markup=False)

    done = remote.run(shell, seconds=SECONDS, on_line=on_line)
    lines = hide(done.text.strip(), known_secrets(wanted.state)).splitlines()
    return done.code, "\n".join(each for each in lines if not each.startswith(repository.WAITING))


def show() -> None:
    """Print the backups, the latest first, and until when the second place has them."""
    wanted = scenario()
    found = past_of(wanted)
    table = Table("made", "kind", "database", "ago", box=None)
    for each in reversed(found.backups):
        gone = ago(time.time() - each.stop).removesuffix(" ago")
        table.add_row(shown(each.stop), each.kind, f"{each.size / 1e6:.0f} MB", gone)
    console.print(table)
    if found.backups:
        console.print(f"{found.told(shown)} can be had; times are of this computer")
    if wanted.second_place:
        console.print(_copied(wanted), markup=False)


def _copied(wanted: Scenario) -> str:
    """Return what the second place has."""
    with closing(keeper(wanted)) as remote:
        known = json.loads(remote.run(f"cat {second_place.TOLD} 2>/dev/null || echo {{}}").text)
    assert wanted.second_place
    done = known.get("done")
    what = f"has what was kept until {shown(done)}" if done else "has nothing of them"
    failed = f"; a later copy failed: {known['why']}" if known.get("why") else ""
    return f"the second place, {wanted.second_place.name}, {what}{failed}"


def past_of(wanted: Scenario) -> Past:
    """Return what the backups have of the database; raises Exit when nobody can tell."""
    with closing(keeper(wanted)) as remote:
        try:
            return past.look(remote)
        except (RuntimeError, MachineError) as error:
            raise Exit(hide(str(error), known_secrets(wanted.state)), 1) from None


def keeper(wanted: Scenario) -> Remote:
    """Return a connection to a storage server that has the backups; raises Exit without any."""
    if not repository.keepers(wanted):
        raise refuse(f"{wanted.name} has no backups: {without(wanted)}.")
    errors = []
    for machine in repository.keepers(wanted):
        remote = Remote(machine.name, machine.ssh)
        try:
            remote.connect()
            return remote
        except MachineError as error:
            errors.append(str(error))
    raise refuse("\n".join(errors))


def moment_of(text: str) -> datetime | None:
    """Return the time that a person says, in their own zone; None for none. Raises Exit."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise refuse(f'--to is {text!r}, it must be a time, as "2026-11-25 13:05:00".') from None


def seconds_of(moment: datetime | None) -> float | None:
    """Return a time as seconds of the epoch, None for none."""
    return moment.timestamp() if moment else None


def shown(seconds: float) -> str:
    """Return a time as a person of this computer's zone reads it."""
    return datetime.fromtimestamp(seconds).strftime(SHOWN)
