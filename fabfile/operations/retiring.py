"""Machines that a scenario had, and has no more: what becomes of them, and how they are left."""

from __future__ import annotations

import sys
from pathlib import Path

from invoke.exceptions import Exit

from fabfile.engine.remote import MachineError, Remote
from fabfile.operations.progress import console
from fabfile.operations.session import refuse
from fabfile.operations.session import scenario as current
from fabfile.scenario import Scenario, deployed
from fabfile.scenario.deployed import Deployed

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
            "or an app server by remove-server, then retire it."
        )
    known = {machine.name: machine for machine in deployed.gone(wanted)}
    if name not in known:
        others = f"; known are {', '.join(known)}" if known else ""
        raise refuse(f"This computer has deployed to no machine {name} that is gone now{others}.")
    machine = known[name]
    if not yes:
        _ask(machine)
    said = _carried_out(machine)
    deployed.forget(wanted, [name])
    for line in said.splitlines():
        console.print(f"{name}: {line}", markup=False)
    console.print(f"{name}: nothing else that deploy has put there is left", markup=False)


def _ask(machine: Deployed) -> None:
    """Have a person agree; raises Exit without."""
    if not sys.stdin.isatty():
        raise refuse("There is no terminal to ask at: say --yes.")
    what = f"{machine.name} ({', '.join(machine.tiers)}, {machine.login.host})"
    answer = input(f"Stop all of the scenario on {what}, and remove it there, but data? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise refuse("It was not agreed to.")


def _carried_out(machine: Deployed) -> str:
    remote = Remote(machine.name, machine.login)
    try:
        done = remote.run(SCRIPT, seconds=SECONDS)
    except MachineError as error:
        raise refuse(f"{error}.") from None
    finally:
        remote.close()
    if done.code == REFUSED:
        raise refuse(f"{machine.name}: {done.text.strip()}.")
    if done.code:
        raise Exit(f"{machine.name}: {done.text.strip()}\nRun it again: it goes on there.", 1)
    return done.text
