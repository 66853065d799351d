"""Backups made, shown and brought back, by a person's word."""

from __future__ import annotations

import json
import shlex
import sys
import time
from contextlib import closing
from dataclasses import replace
from datetime import datetime

from invoke.exceptions import Exit
from rich.table import Table

from fabfile.engine.change import Change
from fabfile.engine.converge import Plan, Stage, everywhere, execute
from fabfile.engine.remote import MachineError, Remote
from fabfile.operations import missing
from fabfile.operations.deployment import carry_out, planned
from fabfile.operations.progress import Progress, console, hide
from fabfile.operations.session import (
    operation,
    refuse,
    scenario,
    without_absent,
)
from fabfile.scenario import Machine, Scenario
from fabfile.scenario.credentials import known_secrets
from fabfile.tiers.app import servers
from fabfile.tiers.app import state as app
from fabfile.tiers.database import restoring as database
from fabfile.tiers.database import state
from fabfile.tiers.storage import backup, repository, second_place
from fabfile.tiers.storage.backup_checks import Kept, ago, known, system, without

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
            done = remote.run(shell, seconds=SECONDS)
            if done.code:
                said = hide(done.text.strip(), known_secrets(wanted.state))
                raise Exit(f"{remote.name}: {said}", 1)
    console.print(f"backed up by {remote.name} in {time.monotonic() - started:.1f} s")


def show() -> None:
    """Print the backups, the latest first, and until when the second place has them."""
    wanted = scenario()
    found = known(info(wanted))
    table = Table("made", "kind", "database", "ago", box=None)
    for each in reversed(found):
        past = ago(time.time() - each.stop).removesuffix(" ago")
        table.add_row(_said(each.stop), each.kind, f"{each.size / 1e6:.0f} MB", past)
    console.print(table)
    if found:
        console.print(
            f"any second since {_said(found[0].stop)} can be had; times are of this computer"
        )
    if wanted.second_place:
        console.print(_copied(wanted), markup=False)


def _copied(wanted: Scenario) -> str:
    """Return what the second place has."""
    with closing(keeper(wanted)) as remote:
        known = json.loads(remote.run(f"cat {second_place.TOLD} 2>/dev/null || echo {{}}").text)
    assert wanted.second_place
    done = known.get("done")
    what = f"has what was kept until {_said(done)}" if done else "has nothing of them"
    failed = f"; a later copy failed: {known['why']}" if known.get("why") else ""
    return f"the second place, {wanted.second_place.name}, {what}{failed}"


def info(wanted: Scenario) -> str:
    """Return what pgBackRest says of the backups, as JSON; raises Exit when nobody can tell."""
    with closing(keeper(wanted)) as remote:
        done = remote.run(repository.info())
    if done.code:
        raise Exit(f"{remote.name}: {hide(done.text.strip(), known_secrets(wanted.state))}", 1)
    return done.text


def timeline(wanted: Scenario, moment: datetime | None) -> str:
    """Return the timeline that the database was on at a time; raises Exit when nobody can tell."""
    with closing(keeper(wanted)) as remote:
        found = remote.run(repository.histories()).text
    return database.timeline(found, moment.timestamp() if moment else time.time())


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


def restore(to: str, yes: bool, wait: bool) -> None:
    """Bring the database back to a time; raises Exit when that cannot be, or fails.

    The application stands still meanwhile.
    """
    started = time.monotonic()
    wanted = scenario()
    moment = moment_of(to)
    text = info(wanted)
    found = known(text)
    if wrong := impossible(moment, found):
        raise refuse(wrong)
    (machine,) = wanted.tier("database")
    if not yes:
        agree(said_beforehand(wanted, machine, moment))
    names = [machine.name, *(each.name for each in wanted.tier("app"))]
    with operation(wanted, names, "backup.restore", wait) as remotes:
        wanted = without_absent(wanted, names, remotes)
        bring_back(wanted, moment, system(text), remotes, started)
    tell(wanted, moment, started)


def bring_back(
    wanted: Scenario,
    moment: datetime | None,
    number: str,
    remotes: dict[str, Remote],
    started: float,
    serve: bool = True,
) -> None:
    """Stop the application, bring the database back to a time, and start it; raises Exit.

    `number` is PostgreSQL's of the cluster in the backups. Without `serve`, it stays stopped.
    """
    (machine,) = wanted.tier("database")
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
    on = timeline(wanted, moment)
    stages, plan = _steps(wanted, moment, number, on, served)
    _carry_out(wanted, stages, plan, remotes, serve)


def tell(wanted: Scenario, moment: datetime | None, started: float) -> None:
    """Bring back uploads, back up what is now, and say how long all of it took; raises Exit."""
    with closing(keeper(wanted)) as remote:
        _after(wanted, remote, moment)
    missing.tell(wanted)
    what = f"as of {moment.strftime(SHOWN)}" if moment else "as of what was written last"
    console.print(f"the database is {what}, in {time.monotonic() - started:.1f} s")


def _after(wanted: Scenario, remote: Remote, moment: datetime | None) -> None:
    """Bring back uploads that the volume lacks, and back up what is now; raises Exit."""
    until = moment.timestamp() if moment else time.time()
    steps = {
        "no upload was brought back": backup.run_uploads(wanted, f"missing {until}"),
        "no new backup was made": backup.run("diff"),
    }
    for failure, shell in steps.items():
        done = remote.run(shell, seconds=SECONDS)
        said = hide(done.text.strip(), known_secrets(wanted.state))
        if done.code:
            raise Exit(f"The database is back, and {failure}. {remote.name}: {said}", 1)
        if said:
            console.print(said, markup=False)


def moment_of(text: str) -> datetime | None:
    """Return the time that a person says, in their own zone; None for none. Raises Exit."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise refuse(f'--to is {text!r}, it must be a time, as "2026-11-25 13:05:00".') from None


def impossible(moment: datetime | None, found: list[Kept]) -> str:
    """Return why the database cannot be brought back to a time, "" when it can."""
    if not found:
        return "There is no backup to bring back."
    if moment and moment.timestamp() > time.time():
        return f"{moment.strftime(SHOWN)} is in the future."
    if moment and moment.timestamp() < found[0].stop:
        return f"{moment.strftime(SHOWN)} is before the first backup, of {_said(found[0].stop)}."
    return ""


def _said(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime(SHOWN)


def said_beforehand(wanted: Scenario, machine: Machine, moment: datetime | None) -> str:
    """Return what the restore replaces."""
    to = f"as it was at {moment.strftime(SHOWN)}" if moment else "as it is in the backups"
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


def _prepared(wanted: Scenario, machine: Machine) -> Stage:
    """Return what the database server must have for it: all but a cluster that runs."""
    return Stage("prepare", (machine.name,), lambda _: state.prepared(wanted, machine))


def _steps(
    wanted: Scenario, moment: datetime | None, number: str, on: str, apps: list[str]
) -> tuple[list[Stage], Plan]:
    """Return the stages, and the changes of each; `apps` are where the application is."""
    target = moment.isoformat(sep=" ") if moment else ""
    (name,) = (each.name for each in wanted.tier("database"))
    stop = Change("stop", "stop the application", servers.stopped(wanted))
    start = [service.restarting() for service in app.services(wanted)]
    plan: dict[str, dict[str, list[Change]]] = {
        "stop": {each: [stop] for each in apps},
        "keep": {name: [database.handed_over(wanted, number)]},
        "restore": {name: [database.restored(wanted, target, on)]},
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
