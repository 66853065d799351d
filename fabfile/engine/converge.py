"""Plan and apply: from stages of desired state to machines that have it.

All machines are looked at first, in one go (planning.py); what is wrong with any of them is said
before anything is changed on one. Then stages run as soon as those they come after are done, and
the machines within a stage in parallel.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Protocol, TypeVar

from fabfile.engine import script
from fabfile.engine.change import Change, Resource
from fabfile.engine.remote import MachineError, Remote

# What `on_step` gets besides the summaries of changes: how a machine's stage ended, and the name
# of the stage in which machines are looked at.
DONE, FAILED, INTERRUPTED = "done", "failed", "interrupted"
LOOK = "look"

OnStep = Callable[[str, str, str], None]  # machine, stage, summary
Answer = TypeVar("Answer")


class Rollout(Protocol):
    """How the machines of a stage that must change do so while the others serve."""

    def batches(self, remotes: Sequence[Remote]) -> Sequence[Sequence[Remote]]:
        """Return which change together; a batch follows when all of the one before succeeded."""

    def around(self, remote: Remote, say: Callable[[str], None]) -> AbstractContextManager[None]:
        """Return what to do before and after the changes of a machine; `say` tells a step.

        It sees the error when they fail, and raises it again, with what it did about it.
        """


@dataclass(frozen=True)
class Stage:
    """A step of the pipeline: what some machines must have, once the stages `after` are done.

    `desired` gives, for a machine's name, the resources it must have; it may raise Refused. Without
    a `rollout`, all machines change at once.
    """

    name: str
    machines: tuple[str, ...]
    desired: Callable[[str], Sequence[Resource]]
    after: tuple[str, ...] = ()
    rollout: Rollout | None = None


class MachineErrors(Exception):
    """What failed, machine by machine: `.errors` holds one MachineError each."""

    def __init__(self, errors: Sequence[MachineError]) -> None:
        self.errors = errors
        super().__init__("\n".join(str(error) for error in errors))


# stage name -> machine name -> changes; stages and machines with nothing to change are left out
Plan = Mapping[str, Mapping[str, Sequence[Change]]]


@dataclass
class Report:
    """How a run ended: the stages that ran, failed or were not started, and the errors."""

    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    not_started: list[str] = field(default_factory=list)
    errors: list[MachineError] = field(default_factory=list)
    seconds: float = 0.0


def everywhere(remotes: Sequence[Remote], work: Callable[[Remote], Answer]) -> dict[str, Answer]:
    """Return machine name -> what `work` answers for it, all at the same time.

    Raises MachineErrors with the errors of all machines.
    """
    answers: dict[str, Answer] = {}
    errors: list[MachineError] = []
    futures = {remote.name: _begun(work, remote) for remote in remotes}
    try:
        for name, future in futures.items():
            try:
                answers[name] = future.result()
            except MachineError as error:
                errors.append(error)
    except KeyboardInterrupt:
        for remote in remotes:
            remote.close()
        raise
    if errors:
        raise MachineErrors(errors)
    return answers


def _begun(work: Callable[[Remote], Answer], remote: Remote) -> Future[Answer]:
    """Begin the work in a thread of its own, which nobody waits for when the program ends.

    An executor's threads would be waited for: a silent machine's for all of its time limit.
    """
    future: Future[Answer] = Future()

    def run() -> None:
        try:
            future.set_result(work(remote))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def execute(
    plan: Plan,
    stages: Sequence[Stage],
    remotes: Mapping[str, Remote],
    on_step: OnStep,
) -> Report:
    """Make the changes of a plan, stage by stage.

    `on_step` gets machine, stage and the summary of each change, then how the stage ended there.
    A machine's failure stops what comes after its stage; the rest goes on. Never raises
    MachineError: the report holds them.
    """
    started = time.monotonic()
    report = Report()
    names = {stage.name for stage in stages}
    waiting = list(stages)
    running: dict[Future[None], Stage] = {}
    interrupted = Event()

    def run(stage: Stage) -> None:
        changes = plan.get(stage.name, {})

        def work(remote: Remote) -> None:
            on_machine = changes[remote.name]

            def say(step: str) -> None:
                on_step(remote.name, stage.name, step)

            try:
                with stage.rollout.around(remote, say) if stage.rollout else nullcontext():
                    script.apply(remote, on_machine, _markers(on_machine, plan, remote.name), say)
            except MachineError:
                say(INTERRUPTED if interrupted.is_set() else FAILED)
                raise
            say(DONE)

        changing = [remotes[name] for name in stage.machines if name in changes]
        for batch in stage.rollout.batches(changing) if stage.rollout else [changing]:
            everywhere(batch, work)

    with ThreadPoolExecutor(len(stages) or 1) as pool:
        try:
            while waiting or running:
                for stage in [
                    s for s in waiting if not names.intersection(s.after) - {*report.done}
                ]:
                    waiting.remove(stage)
                    running[pool.submit(run, stage)] = stage
                if not running:
                    break
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    _finish(running.pop(future), future, report)
        except KeyboardInterrupt:
            interrupted.set()
            for remote in remotes.values():
                remote.close()
            raise
    report.not_started = [stage.name for stage in waiting]
    report.seconds = time.monotonic() - started
    return report


def _markers(changes: Sequence[Change], plan: Plan, machine: str) -> list[str]:
    """Return the markers of all that follows, in this stage or a later one, from these changes."""
    keys = {change.key for change in changes}
    return [
        change.marker
        for machines in plan.values()
        for change in machines.get(machine, ())
        if change.causes & keys
    ]


def _finish(stage: Stage, future: Future[None], report: Report) -> None:
    try:
        future.result()
    except MachineErrors as errors:
        report.failed.append(stage.name)
        report.errors.extend(errors.errors)
    else:
        report.done.append(stage.name)
