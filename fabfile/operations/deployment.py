"""What `deploy` and `plan` do for a person: look, say, change, and report."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace

from invoke.exceptions import Exit

from fabfile import pipeline
from fabfile.engine.converge import LOOK, MachineErrors, Plan, Report, Stage, execute
from fabfile.engine.planning import make_plan
from fabfile.engine.remote import Remote
from fabfile.engine.words import counted
from fabfile.operations import databases, retiring
from fabfile.operations.progress import Progress, console, hide, interruptible
from fabfile.operations.session import (
    connected,
    furnish,
    operation,
    reach,
    refuse,
    refused,
    scenario,
    without_absent,
)
from fabfile.scenario import ROOT, Scenario, deployed, systems
from fabfile.scenario.credentials import known_secrets
from fabfile.scenario.debian import untried
from fabfile.tiers.app import maintenance
from fabfile.tiers.app.rolling import BatchError
from fabfile.tiers.app.sources import REF, SourceError, has_commits


def deploy(
    tier: str = "",
    batch: str = "1",
    wait: bool = False,
    ref: str = "",
    new_database: bool = False,
) -> None:
    """Bring the machines (of a tier, or all) to their desired state; raises Exit on failure.

    `ref` is the commit, tag or branch to take of the application, this time, and not config.py's.
    `new_database` lets an empty database take the place of one that was there.
    """
    started = time.monotonic()
    wanted = replace(at(scenario(), ref), new_database=new_database)
    try:
        stages = pipeline.stages(wanted, tier, batch)
    except BatchError as error:
        raise Exit(str(error), 1) from None
    names = machines_of(stages)
    what = f"{tier}.deploy" if tier else "deploy"
    with operation(wanted, names, what, wait, switches=not tier) as remotes:
        wanted = without_absent(wanted, names, remotes)
        changes = bring(wanted, pipeline.stages(wanted, tier, batch), remotes, started)
    if not tier:
        if changes:
            console.print(_place(wanted))
        retiring.tell(wanted)
    if aside := maintenance.told(wanted):
        console.print(aside)
    if ref:
        console.print(
            f"{wanted.application.name} runs {ref}, and config.py names "
            f"{scenario().application.ref or 'the source as it is'}: "
            "the next deploy without --ref brings that"
        )


def at(wanted: Scenario, ref: str) -> Scenario:
    """Return the scenario with its application at another commit; raises Exit if it has none."""
    application = wanted.application
    if not ref:
        return wanted
    if not REF.fullmatch(ref):
        raise refuse(f"--ref is {ref!r}, it must be a commit, a tag or a branch.")
    if not has_commits(application.source, ROOT):
        raise refuse(f"--ref is {ref}, but the source {application.source} has no commits.")
    return replace(wanted, application=replace(application, ref=ref))


def bring(
    wanted: Scenario, stages: Sequence[Stage], remotes: dict[str, Remote], started: float
) -> int:
    """Plan, change, and report what was changed; answers how many changes were made.

    Raises Exit on failure.
    """
    plan = planned(stages, remotes, wanted)
    deployed.note(wanted, machines_of(stages))
    of_database = any("database" in wanted.machine(name).tiers for name in machines_of(stages))
    if not plan:
        if of_database:
            databases.note(wanted)
        seconds = time.monotonic() - started
        console.print(f"{_nothing_to_do(len(machines_of(stages)))} ({seconds:.1f} s)")
        return 0
    carry_out(wanted, plan, stages, remotes, started)
    if of_database:
        databases.note(wanted)
    return _count(plan)


def carry_out(
    wanted: Scenario,
    plan: Plan,
    stages: Sequence[Stage],
    remotes: dict[str, Remote],
    started: float,
) -> None:
    """Make the changes of a plan, and report them; raises Exit on failure."""
    progress = Progress(_todo(stages, plan))
    with progress.shown():
        report = execute(plan, stages, remotes, progress.step)
    _tell(plan, report, wanted, time.monotonic() - started)


def show_plan(tier: str = "", ref: str = "") -> None:
    """Print what deploy would change; raises Exit with 2 when there is something."""
    wanted = at(scenario(), ref)
    names = machines_of(pipeline.stages(wanted, tier))
    with interruptible("Nothing was changed."), connected(wanted, names) as remotes:
        reach(wanted, remotes, Remote.connect)
        wanted = without_absent(wanted, names, remotes)
        stages = pipeline.stages(wanted, tier)
        furnish(wanted)
        plan = planned(stages, remotes, wanted)
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
        raise Exit(f"{counted(count, 'change')} would be made", 2)
    console.print(_nothing_to_do(len(remotes)))


def _nothing_to_do(count: int) -> str:
    are = "is as it should be" if count == 1 else "are as they should be"
    return f"0 changes: {counted(count, 'machine')} {are}"


def show_address() -> None:
    """Print where the application is, and where the first user's password is kept."""
    wanted = scenario()
    console.print(_place(wanted))
    if wanted.application.seed:
        console.print(
            f"log in as {wanted.application.administrator}; the password is "
            f"administrator_password in {os.path.relpath(wanted.state / 'secrets.json')}"
        )


def _place(wanted: Scenario) -> str:
    return f"{wanted.application.name} is at {wanted.url}"


def machines_of(stages: Sequence[Stage]) -> list[str]:
    """Return the names of all machines of the stages."""
    return list(dict.fromkeys(name for stage in stages for name in stage.machines))


def planned(stages: Sequence[Stage], remotes: dict[str, Remote], wanted: Scenario) -> Plan:
    """Return what the stages would change; raises Exit with all that speaks against it."""
    progress = Progress({name: [LOOK] for name in machines_of(stages)})
    notes: list[str] = []
    try:
        with progress.looking():
            plan = make_plan(stages, remotes, progress.step, wanted.systems, notes)
        systems.note(wanted.state, wanted.systems)
        notes += untried({name: wanted.systems.get(name, "") for name in machines_of(stages)})
    except MachineErrors as errors:
        raise refused(errors, wanted) from None
    except SourceError as error:
        raise refuse(f"{error}.") from None
    finally:
        for note in notes:
            console.print(note, markup=False)
    if reason := databases.emptiness(wanted, plan):
        raise refuse(reason)
    return databases.warned(wanted, plan)


def _todo(stages: Sequence[Stage], plan: Plan) -> dict[str, list[str]]:
    """Return machine name -> the stages in which it has something to change."""
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
    machines = counted(len(changed), "machine")
    console.print(f"{counted(count, 'change')} on {machines} in {seconds:.1f} s")
    if not report.errors:
        return
    lines = [hide(str(error), known_secrets(wanted.state)) for error in report.errors]
    lines.append(f"stages done: {', '.join(report.done) or 'none'}")
    lines.append(f"stages failed: {', '.join(report.failed)}")
    lines.append(f"stages not started: {', '.join(report.not_started) or 'none'}")
    lines.append("Repair what failed and run it again: it goes on where it stopped.")
    raise Exit("\n".join(lines), 1)
