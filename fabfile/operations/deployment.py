"""What `deploy` and `plan` do for a person: look, say, change, and report."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from invoke.exceptions import Exit

from fabfile import balancer, pipeline
from fabfile.engine.converge import (
    LOOK,
    MachineErrors,
    Plan,
    Report,
    Stage,
    everywhere,
    execute,
    make_plan,
)
from fabfile.engine.lock import Busy, lock
from fabfile.engine.remote import Absent, MachineError, Remote
from fabfile.operations import databases
from fabfile.operations.progress import Progress, console, hide, interruptible
from fabfile.rolling import BatchError
from fabfile.scenario import ROOT, Scenario, ScenarioError, load
from fabfile.scenario.credentials import known_secrets
from fabfile.sources import REF, has_commits


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


@contextmanager
def operation(
    wanted: Scenario, names: Sequence[str], what: str, wait: bool = False, switches: bool = False
) -> Iterator[dict[str, Remote]]:
    """Answer connections to the machines for the time of an operation; there is one at a time.

    The balancer keeps the scenario's lock. An app server in maintenance that nobody answers on is
    left out. Raises Exit when someone else has the lock (`wait` waits instead), with the errors of
    all machines, or when another application runs, unless it is an operation that `switches`.
    """
    keeper = wanted.tier("balancer")[0].name
    who = f"{getpass.getuser()}@{socket.gethostname()}"

    def waits(holder: str) -> None:
        console.print(f"{wanted.name} is being changed ({holder}); waiting", markup=False)

    again = "Run it again: it goes on where it stopped."
    with (
        interruptible(again),
        connected(wanted, [*names, keeper]) as remotes,
        ExitStack() as held,
    ):

        def begin(remote: Remote) -> None:
            remote.connect()
            if remote.name == keeper:
                held.enter_context(lock(remote, who, what, waits if wait else None))

        try:
            _reach(wanted, remotes, begin)
        except Busy as holder:
            raise Exit(
                f"{wanted.name} is being changed ({holder}). Nothing was changed: run it again "
                "when that has ended, or with --wait.",
                1,
            ) from None
        if not switches:
            _refuse_another(wanted, remotes[keeper])
        yield remotes


def _reach(wanted: Scenario, remotes: dict[str, Remote], begin: Callable[[Remote], None]) -> None:
    """Begin on all machines, and drop those in maintenance that are not there.

    Raises Exit with the errors of all others.
    """
    try:
        everywhere(list(remotes.values()), begin)
    except MachineErrors as found:
        left_out = [error for error in found.errors if may_be_absent(wanted, error)]
        if len(left_out) < len(found.errors):
            raise _refused(_all_errors(found, remotes), wanted) from None
        for error in left_out:
            del remotes[error.machine]
            console.print(f"{error}\n{error.machine} is in maintenance, and left as it is")


def may_be_absent(wanted: Scenario, error: MachineError) -> bool:
    """Tell whether an error is only that a server in maintenance is away."""
    return isinstance(error, Absent) and error.machine in wanted.inventory.maintenance


def without_absent(
    wanted: Scenario, names: Sequence[str], remotes: Mapping[str, Remote]
) -> Scenario:
    """Return the scenario without the machines that an operation has left out of `names`."""
    return replace(wanted, absent=frozenset(names) - remotes.keys())


def _refuse_another(wanted: Scenario, keeper: Remote) -> None:
    """Raise Exit when the machines run another application: part of them would get this one."""
    name = wanted.application.name
    runs = keeper.run(balancer.application()).text.strip()
    if runs not in ("", name):
        raise refuse(
            f"{wanted.name} runs the application {runs}, not {name}. Say APPLICATION = {runs!r} in "
            f"{wanted.source.name}, or CRM_APP={runs} before the command; only deploy switches."
        )


def _all_errors(found: MachineErrors, remotes: dict[str, Remote]) -> MachineErrors:
    """Answer what is wrong with each machine, also with those that only refuse root."""
    try:
        everywhere(list(remotes.values()), lambda remote: remote.run(":"))
    except MachineErrors as errors:
        named = {error.machine for error in errors.errors}
        others = [error for error in found.errors if error.machine not in named]
        return MachineErrors([*errors.errors, *others])
    return found


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
        bring(wanted, pipeline.stages(wanted, tier, batch), remotes, started)
    if ref:
        console.print(
            f"{wanted.application.name} runs {ref}, and config.py names "
            f"{scenario().application.ref or 'the source as it is'}: "
            "the next deploy without --ref brings that"
        )


def at(wanted: Scenario, ref: str) -> Scenario:
    """Answer the scenario with its application at another commit; raises Exit if it has none."""
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
    of_database = any(wanted.machine(name).tier == "database" for name in machines_of(stages))
    if not plan:
        if of_database:
            databases.note(wanted)
        count, seconds = len(machines_of(stages)), time.monotonic() - started
        console.print(f"0 changes: {count} machines are as they should be ({seconds:.1f} s)")
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
        _reach(wanted, remotes, Remote.connect)
        wanted = without_absent(wanted, names, remotes)
        stages = pipeline.stages(wanted, tier)
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
        raise Exit(f"{count} changes would be made", 2)
    console.print(f"0 changes: {len(remotes)} machines are as they should be")


def show_address() -> None:
    """Print where the application is, and where the first user's password is kept."""
    wanted = scenario()
    console.print(f"{wanted.application.name} is at {wanted.url}")
    if wanted.application.seed:
        console.print(
            f"log in as {wanted.application.administrator}; the password is "
            f"administrator_password in {os.path.relpath(wanted.state / 'secrets.json')}"
        )


def machines_of(stages: Sequence[Stage]) -> list[str]:
    """Answer the names of all machines of the stages."""
    return list(dict.fromkeys(name for stage in stages for name in stage.machines))


def planned(stages: Sequence[Stage], remotes: dict[str, Remote], wanted: Scenario) -> Plan:
    """Answer what the stages would change; raises Exit with the errors of all machines."""
    progress = Progress({name: [LOOK] for name in machines_of(stages)})
    try:
        with progress.looking():
            plan = make_plan(stages, remotes, progress.step)
    except MachineErrors as errors:
        raise _refused(errors, wanted) from None
    if reason := databases.emptiness(wanted, plan):
        raise refuse(reason)
    return plan


def refuse(sentence: str) -> Exit:
    """Answer what ends a task before it has changed anything."""
    return Exit(f"{sentence}\nNothing was changed.", 1)


def _refused(errors: MachineErrors, wanted: Scenario) -> Exit:
    lines = [f"{error}{_way_out(wanted, error)}" for error in errors.errors]
    return refuse(hide("\n".join(lines), known_secrets(wanted.state)))


def _way_out(wanted: Scenario, error: MachineError) -> str:
    """Return how the others can be changed without an app server that is away."""
    name = error.machine
    serving = [machine.name for machine in wanted.serving]
    if not isinstance(error, Absent) or name not in serving or len(serving) == 1:
        return ""
    return (
        f" If it stays away, 'invoke maintenance --server {name} on' has it left out until it is "
        f"back, and 'invoke remove-server --name {name}' takes it away for good."
    )


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
