"""The uploads that the application's rows know of and that are not there, as it says itself."""

from __future__ import annotations

from contextlib import closing

from invoke.exceptions import Exit

from fabfile.engine.remote import MachineError, Remote
from fabfile.engine.words import counted
from fabfile.operations.progress import console, hide
from fabfile.operations.session import refuse, scenario
from fabfile.scenario import Scenario
from fabfile.scenario.credentials import known_secrets
from fabfile.tiers.app import servers

SECONDS = 3600
# So many are shown behind a restore; all of them by the task.
SHOWN = 10


def show() -> None:
    """Print all of them; raises Exit with 1 when there are any, or nobody can tell."""
    wanted = scenario()
    if not wanted.application.missing:
        raise refuse(
            f"{wanted.application.name} does not say which uploads are missing: it has no "
            f"'missing' in {wanted.source.name}."
        )
    found, why = _asked(wanted)
    if why:
        raise Exit(why, 1)
    for line in found:
        console.print(line, markup=False)
    if found:
        raise Exit(f"{counted(len(found), 'upload')} missing", 1)
    console.print("no upload is missing")


def tell(wanted: Scenario) -> None:
    """Say behind a restore what is missing, as far as somebody can tell."""
    if not wanted.application.missing:
        return
    found, why = _asked(wanted)
    if why:
        console.print(
            f"'invoke backup.missing' lists the uploads that are gone, once it can: {why}",
            markup=False,
        )
    elif found:
        listed = [*found[:SHOWN], *(["..."] if found[SHOWN:] else [])]
        console.print(
            f"{counted(len(found), 'upload')} missing ('invoke backup.missing' lists them):",
            *(f"  {line}" for line in listed),
            sep="\n",
            markup=False,
        )


def _asked(wanted: Scenario) -> tuple[list[str], str]:
    """Return what the application says, and why nobody could be asked, else ""."""
    why = "there is no app server"
    for machine in wanted.present("app"):
        try:
            with closing(Remote(machine.name, machine.ssh)) as remote:
                done = remote.run(servers.missing(wanted), seconds=SECONDS)
        except MachineError as error:
            why = str(error)
            continue
        if not done.code:
            return done.text.splitlines(), ""
        why = f"{machine.name}: {hide(done.text.strip(), known_secrets(wanted.state))}"
    return [], why
