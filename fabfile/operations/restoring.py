"""The database brought back to an earlier time, by a person's word."""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import datetime

from invoke.exceptions import Exit

from fabfile.engine.change import Change
from fabfile.engine.converge import Plan, Stage, everywhere, execute
from fabfile.engine.remote import MachineError, Remote
from fabfile.operations import missing
from fabfile.operations.backups import (
    SHOWN,
    keeper,
    moment_of,
    past_of,
    run,
    seconds_of,
    shown,
)
from fabfile.operations.deployment import carry_out, planned
from fabfile.operations.progress import Progress, console, hide
from fabfile.operations.session import operation, refuse, scenario, without_absent
from fabfile.scenario import Machine, Scenario
from fabfile.scenario.credentials import known_secrets
from fabfile.tiers.app import servers
from fabfile.tiers.app import state as app
from fabfile.tiers.database import restoring as database
from fabfile.tiers.database import state
from fabfile.tiers.database.members import primary
from fabfile.tiers.storage import backup, repository
from fabfile.tiers.storage.backup_checks import ago
from fabfile.tiers.storage.past import Past


def restore(to: str, yes: bool, wait: bool) -> None:
    """Bring the database back to a time; raises Exit when that cannot be, or fails.

    The application stands still meanwhile.
    """
    started = time.monotonic()
    wanted = scenario()
    moment = moment_of(to)
    found = past_of(wanted)
    if wrong := several(wanted) or impossible(wanted, found, moment):
        raise refuse(wrong)
    machine = primary(wanted)
    if not yes:
        agree(said_beforehand(wanted, machine, moment, found))
    names = [machine.name, *(each.name for each in wanted.tier("app"))]
    with operation(wanted, names, "backup.restore", wait) as remotes:
        wanted = without_absent(wanted, names, remotes)
        bring_back(wanted, moment, found, remotes, started)
    tell(wanted, moment, started)


def bring_back(
    wanted: Scenario,
    moment: datetime | None,
    found: Past,
    remotes: dict[str, Remote],
    started: float,
    serve: bool = True,
) -> None:
    """Stop the application, bring the database back to a time, and start it; raises Exit.

    `found` is what the backups have. Without `serve`, it stays stopped.
    """
    machine = primary(wanted)
    # The settings of an empty machine in the place of a lost one.
    prepared = [_prepared(wanted, machine)]
    if changes := planned(prepared, remotes, wanted):
        first = database.unsettled(wanted)
        begun = {
            stage: {name: [first, *steps] for name, steps in machines.items()}
            for stage, machines in changes.items()
        }
        carry_out(wanted, begun, prepared, remotes, started)
    served = _serving(wanted, remotes)
    stages, plan = _steps(wanted, moment, found, served)
    _carry_out(wanted, stages, plan, remotes, serve)


def tell(wanted: Scenario, moment: datetime | None, started: float) -> None:
    """Bring back uploads, back up what is now, and say how long all of it took; raises Exit."""
    with closing(keeper(wanted)) as remote:
        _after(wanted, remote, moment)
    missing.tell(wanted)
    what = f"as of {moment.strftime(SHOWN)}" if moment else "as of what was written last"
    console.print(f"the database is {what}, in {time.monotonic() - started:.1f} s")


def _after(wanted: Scenario, remote: Remote, moment: datetime | None) -> None:
    """Back up what is now, and bring back uploads that the volume lacks; raises Exit."""
    until = moment.timestamp() if moment else time.time()
    steps = {
        "no new backup was made": backup.run("diff"),
        "no upload was brought back": backup.bring_uploads(wanted, f"missing {until}"),
    }
    failed = []
    for failure, shell in steps.items():
        code, said = run(wanted, remote, shell)
        if code == repository.BUSY:
            # The database is on a timeline of its own now, which a timer notices.
            console.print(f"{said}; what is now is backed up once that is done", markup=False)
        elif code:
            failed.append(f"{failure}. {remote.name}: {said}")
        elif said:
            console.print(said, markup=False)
    if failed:
        raise Exit("\n".join(f"The database is back, and {each}" for each in failed), 1)


def several(wanted: Scenario) -> str:
    """Return why the database is not brought back in its place, where several machines have it."""
    if not wanted.paired("database"):
        return ""
    now = primary(wanted)
    others = " and ".join(each.name for each in wanted.tier("database") if each != now)
    return (
        f"The database of {now.name} is copied by {others}: take {others} out of "
        f"{wanted.source.name}, 'fab deploy', bring it back, and put {others} in again. "
        "'backup.restore --into' makes a database beside it at any time."
    )


def impossible(wanted: Scenario, found: Past, moment: datetime | None) -> str:
    """Return why no database is made of what was at a time, "" when one may be.

    One that is there, and that no backup has all of, is not replaced.
    """
    if wrong := found.impossible(moment, time.time(), shown):
        return wrong
    machine = primary(wanted)
    try:
        with closing(Remote(machine.name, machine.ssh)) as remote:
            text = remote.run(database.given_up(wanted), seconds=20).text.strip()
    except MachineError:
        # Where it is really needed, it will be said.
        return ""
    given_up = int(text) if text.isdecimal() else 0
    if given_up < found.backups[-1].start:
        return ""
    return (
        f"No storage server kept PostgreSQL's log {ago(time.time() - given_up)}, and there is no "
        "backup since: what was written since is in none. 'invoke backup.now' makes one."
    )


def said_beforehand(
    wanted: Scenario, machine: Machine, moment: datetime | None, found: Past | None = None
) -> str:
    """Return what the restore replaces; `found` is what the backups have, as far as known."""
    to = f"as it was at {moment.strftime(SHOWN)}" if moment else "as it is in the backups"
    if found and not moment and (end := found.spans()[-1][1]) < time.time():
        to = f"as it was at {shown(end)}, behind which PostgreSQL's log was not kept"
    since = f", {ago(time.time() - moment.timestamp())}" if moment else ""
    return (
        f"All databases on {machine.name} become {to}{since}; {wanted.application.name} stands "
        "still meanwhile. What was written since is gone from them, and stays in the backups for "
        f"{repository.DAYS} days."
    )


def agree(what: str) -> None:
    """Have a person agree to what is said; raises Exit without."""
    console.print(what, markup=False)
    if not sys.stdin.isatty():
        raise refuse("There is no terminal to ask at: say --yes.")
    if input("Do it? [y/N] ").strip().lower() not in ("y", "yes"):
        raise refuse("It was not agreed to.")


def _serving(wanted: Scenario, remotes: dict[str, Remote]) -> list[str]:
    """Return the app servers that have the application: an empty one gets it by deploy."""
    unit = shlex.quote(f"/etc/systemd/system/{wanted.application.name}.service")
    machines = [remotes[each.name] for each in wanted.present("app")]
    there = everywhere(machines, lambda remote: remote.run(f"[ -e {unit} ]").code == 0)
    return [name for name, is_there in there.items() if is_there]


def way_to(found: Past, moment: datetime | None) -> database.Way:
    """Return how the database comes to a time: from which backup, and on which timeline."""
    seconds = seconds_of(moment)
    on, source = found.timeline(seconds), found.backup(seconds)
    target = moment.isoformat(sep=" ") if moment else ""
    if not source:
        return database.Way(target, str(on.number))
    number = "current" if source.timeline == on.number else str(on.number)
    return database.Way(target, number, source.label, source.size, found.log_behind(source, on))


def _prepared(wanted: Scenario, machine: Machine) -> Stage:
    """Return what the database server must have for it: all but a cluster that runs."""
    return Stage("prepare", (machine.name,), lambda _: state.prepared(wanted, machine))


def _steps(
    wanted: Scenario, moment: datetime | None, found: Past, apps: list[str]
) -> tuple[list[Stage], Plan]:
    """Return the stages, and the changes of each; `apps` are where the application is."""
    way = way_to(found, moment)
    name = primary(wanted).name
    stop = Change("stop", "stop the application", servers.stopped(wanted))
    start = [service.restarting() for service in app.services(wanted)]
    plan: dict[str, dict[str, list[Change]]] = {
        "stop": {each: [stop] for each in apps},
        "keep": {name: [database.handed_over(wanted, found.system, way)]},
        "restore": {name: [database.restored(wanted, way)]},
        "serve": {each: start for each in apps},
    }
    order = {"stop": (), "keep": ("stop",), "restore": ("keep",), "serve": ("restore",)}
    stages = [
        Stage(stage, tuple(plan[stage]), lambda _: [], after) for stage, after in order.items()
    ]
    return stages, plan


def _carry_out(
    wanted: Scenario, stages: list[Stage], plan: Plan, remotes: dict[str, Remote], serve: bool
) -> None:
    """Do it; where nothing was replaced yet, the application goes on as before. Raises Exit."""
    serving = stages[-1]
    if not serve:
        stages = stages[:-1]
    todo: dict[str, list[str]] = {}
    for stage in stages:
        for machine in stage.machines:
            todo.setdefault(machine, []).append(stage.name)
    progress = Progress(todo)
    with progress.shown():
        report = execute(plan, stages, remotes, progress.step)
        untouched = {"stop", "keep"} & {*report.failed}
        if untouched:
            execute(plan, [replace(serving, after=())], remotes, progress.step)
    if report.errors:
        lines = [hide(str(error), known_secrets(wanted.state)) for error in report.errors]
        end = "Nothing was replaced." if untouched else "Run it again, with the same time."
        raise Exit("\n".join([*lines, end]), 1)
