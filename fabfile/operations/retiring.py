"""Machines that a scenario had, and has no more: what becomes of them, and how they are left."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

from invoke.exceptions import Exit

from fabfile.engine.remote import MachineError, Remote
from fabfile.operations.progress import console
from fabfile.operations.session import operation, refuse
from fabfile.operations.session import scenario as current
from fabfile.scenario import Scenario, deployed
from fabfile.scenario.deployed import Deployed
from fabfile.tiers import TIERS

SCRIPT = Path(__file__).with_name("retire.sh").read_text()
SECONDS = 300
# What the script ends with when it has changed nothing.
REFUSED = 3


def tell(wanted: Scenario) -> None:
    """Say what becomes of the machines that are in the scenario no more."""
    for machine in deployed.gone(wanted):
        if machine.name not in wanted.inventory.removed:
            console.print(
                f"{machine.name} is no longer in {wanted.source.name}: it runs on as it was, and "
                f"no other machine asks it; 'invoke retire --name {machine.name}' takes off it "
                "what deploy has put there",
                markup=False,
            )


def retire(name: str, yes: bool = False) -> None:
    """Take off a machine what deploy has put there; raises Exit when that must not be, or fails."""
    wanted = current()
    if name in {machine.name for machine in wanted.machines}:
        raise refuse(
            f"{name} is a machine of the scenario: take it out of {wanted.source.name} and deploy, "
            "or an app server by remove-server, then retire it. 'invoke retire --all' takes off "
            f"all of {wanted.name}."
        )
    known = {machine.name: machine for machine in deployed.gone(wanted)}
    if name not in known:
        others = f"; known are {', '.join(known)}" if known else ""
        raise refuse(f"This computer has deployed to no machine {name} that is gone now{others}.")
    machine = known[name]
    if not yes:
        _ask(_said(machine))
    try:
        _carry_out(wanted, machine)
    except MachineError as error:
        raise Exit(str(error), 1) from None


def retire_all(yes: bool = False) -> None:
    """Take off all machines of the scenario what deploy has put there, and off those that left.

    Who asks others comes before whom it asks. Raises Exit with the errors of all machines.
    """
    wanted = current()
    machines = sorted(deployed.everywhere(wanted), key=_row)
    if not yes:
        _ask(f"all machines of {wanted.name}: {'; '.join(map(_said, machines))}")
    errors = []
    # The machine that keeps the lock may be the only one, and any application may run.
    with operation(wanted, [], "retire --all", switches=True):
        for machine in machines:
            try:
                _carry_out(wanted, machine, whole=True)
            except MachineError as error:
                errors.append(str(error))
    if errors:
        raise Exit("\n".join([*errors, "Run it again for what is left."]), 1)
    state = os.path.relpath(wanted.state)
    console.print(f"the passwords of {wanted.name} stay in {state} on this computer", markup=False)


def _row(machine: Deployed) -> int:
    return min((TIERS[tier].row for tier in machine.tiers if tier in TIERS), default=0)


def _said(machine: Deployed) -> str:
    return f"{machine.name} ({', '.join(machine.tiers)}, {machine.login.host})"


def _ask(what: str) -> None:
    """Have a person agree; raises Exit without."""
    if not sys.stdin.isatty():
        raise refuse("There is no terminal to ask at: say --yes.")
    answer = input(f"Stop all of the scenario on {what}, and remove it there, but data? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise refuse("It was not agreed to.")


def _carry_out(wanted: Scenario, machine: Deployed, whole: bool = False) -> None:
    """Take off one machine, the `whole` scenario or one that left; say what stays there.

    Raises MachineError.
    """
    with closing(Remote(machine.name, machine.login)) as remote:
        done = remote.run(script(wanted, whole), seconds=SECONDS)
    if done.code == REFUSED:
        raise MachineError(machine.name, f"{done.text.strip()}. Nothing was changed there.")
    if done.code:
        raise MachineError(machine.name, f"{done.text.strip()}\nRun it again: it goes on there.")
    deployed.forget(wanted, [machine.name])
    for line in done.text.splitlines():
        console.print(f"{machine.name}: {line}", markup=False)
    console.print(
        f"{machine.name}: nothing else that deploy has put there is left, but packages and data",
        markup=False,
    )


def script(wanted: Scenario, whole: bool) -> str:
    """Return shell that takes a machine out of all tiers, of which it may have been in any."""
    names = " ".join(each.name for each in wanted.applications)
    # From the data to the users: what guards a machine goes when nothing of ours listens any more.
    tiers = " ".join(reversed(TIERS))
    given = f"whole={'yes' if whole else ''} applications='{names}' tiers='{tiers}'"
    return "\n".join([given, *(tier.retire for tier in TIERS.values()), SCRIPT])
