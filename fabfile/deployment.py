"""What `deploy` and `plan` do for a person: look, say, change, and report."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from invoke.exceptions import Exit

from fabfile import pipeline
from fabfile.credentials import known_secrets
from fabfile.engine.converge import LOOK, MachineErrors, Plan, Report, Stage, execute, make_plan
from fabfile.engine.remote import Remote
from fabfile.progress import Progress, console, hide, interruptible
from fabfile.scenario import Scenario, ScenarioError, load


def scenario() -> Scenario:
    """Answer the scenario; raises Exit with all its mistakes."""
    try:
        return load()
    except ScenarioError as error:
        raise Exit(str(error), 1) from None


@contextmanager
def connected(machines: Scenario, names: Sequence[str]) -> Iterator[dict[str, Remote]]:
    """Answer a connection for each named machine, and close them all behind the block."""
    remotes = {name: Remote(name, machines.machine(name).login) for name in names}
    try:
        yield remotes
    finally:
        for remote in remotes.values():
            remote.close()


def deploy(tier: str = "") -> None:
    """Bring the machines (of a tier, or all) to their desired state; raises Exit on failure."""
    started = time.monotonic()
    wanted = scenario()
    stages = pipeline.stages(wanted, tier)
    again = "Run it again: it goes on where it stopped."
    with interruptible(again), connected(wanted, _machines(stages)) as remotes:
        plan = _planned(stages, remotes, wanted)
        if not plan:
            seconds = time.monotonic() - started
            console.print(
                f"0 changes: {len(remotes)} machines are as they should be ({seconds:.1f} s)"
            )
            return
        progress = Progress(_todo(stages, plan))
        with progress.shown():
            report = execute(plan, stages, remotes, progress.step)
    _tell(plan, report, wanted, time.monotonic() - started)


def show_plan(tier: str = "") -> None:
    """Print what deploy would change; raises Exit with 2 when there is something."""
    wanted = scenario()
    stages = pipeline.stages(wanted, tier)
    with interruptible("Nothing was changed."), connected(wanted, _machines(stages)) as remotes:
        plan = _planned(stages, remotes, wanted)
    secrets = known_secrets(wanted.state)
    for stage in stages:
        for machine, changes in plan.get(stage.name, {}).items():
            for change in changes:
                console.print(
                    f"{machine} ({stage.name}): {hide(change.summary, secrets)}", markup=False
                )
                for line in hide(change.diff, secrets).splitlines():
                    console.print(f"    {line}", markup=False)
    count = _count(plan)
    if count:
        raise Exit(f"{count} changes would be made", 2)
    console.print(f"0 changes: {len(remotes)} machines are as they should be")


def show_address() -> None:
    """Print where the application is, and where the first user's password is kept."""
    wanted = scenario()
    console.print(f"{wanted.application.name} is at {wanted.url}")
    if wanted.application.seed:
        console.print(
            "log in as admin; the password is administrator_password in "
            f"{os.path.relpath(wanted.state / 'secrets.json')}"
        )


def _machines(stages: Sequence[Stage]) -> list[str]:
    return list(dict.fromkeys(name for stage in stages for name in stage.machines))


def _planned(stages: Sequence[Stage], remotes: dict[str, Remote], wanted: Scenario) -> Plan:
    progress = Progress({name: [LOOK] for name in remotes})
    try:
        with progress.looking():
            return make_plan(stages, remotes, progress.step)
    except MachineErrors as error:
        sentences = hide(str(error), known_secrets(wanted.state))
        raise Exit(f"{sentences}\nNothing was changed.", 1) from None


def _todo(stages: Sequence[Stage], plan: Plan) -> dict[str, list[str]]:
    """Answer machine name -> the stages in which it has something to change."""
    todo: dict[str, list[str]] = {}
    for stage in stages:
        for machine in plan.get(stage.name, {}):
            todo.setdefault(machine, []).append(stage.name)
    return todo


def _count(plan: Plan) -> int:
    return sum(len(changes) for machines in plan.values() for changes in machines.values())


def _tell(plan: Plan, report: Report, wanted: Scenario, seconds: float) -> None:
    changed = {name for stage in report.done for name in plan.get(stage, {})}
    count = sum(len(changes) for stage in report.done for changes in plan.get(stage, {}).values())
    console.print(f"{count} changes on {len(changed)} machines in {seconds:.1f} s")
    if not report.errors:
        return
    lines = [hide(str(error), known_secrets(wanted.state)) for error in report.errors]
    lines.append(f"stages done: {', '.join(report.done) or 'none'}")
    lines.append(f"stages failed: {', '.join(report.failed)}")
    lines.append(f"stages not started: {', '.join(report.not_started) or 'none'}")
    lines.append("Mend what failed and run it again: it goes on where it stopped.")
    raise Exit("\n".join(lines), 1)
