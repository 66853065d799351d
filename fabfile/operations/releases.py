"""The application's releases on the app servers: which there are, going back to one, restarting.

A server keeps the last releases that served on it, so going back needs neither a build nor the
source. The database stays as it is: a migration that was made is not undone.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace

from invoke.exceptions import Exit
from rich.table import Table

from fabfile import pipeline
from fabfile.engine.converge import MachineErrors, Stage, everywhere
from fabfile.engine.remote import MachineError, Remote
from fabfile.operations.deployment import bring, carry_out, machines_of
from fabfile.operations.progress import console, hide
from fabfile.operations.session import (
    connected,
    may_be_absent,
    operation,
    refuse,
    scenario,
    without_absent,
)
from fabfile.scenario import Machine, Pinned, Scenario
from fabfile.scenario.credentials import known_secrets
from fabfile.tiers.app import servers
from fabfile.tiers.app import state as app
from fabfile.tiers.app.release import identifier
from fabfile.tiers.app.rolling import BatchError
from fabfile.tiers.app.sources import SourceError


@dataclass(frozen=True)
class Held:
    """What a server has: the release that runs, all it keeps, and when which one came to serve."""

    current: str
    kept: frozenset[str]
    history: tuple[tuple[str, str], ...]  # (time, release), the latest last


def show() -> None:
    """Print the releases, the latest first, and which servers have and run each."""
    wanted = scenario()
    held, errors = _held(wanted)
    table = Table("release", "last served from", "runs on", "kept on", box=None)
    for name in _in_order(held):
        since = max((t for h in held.values() for t, r in h.history if r == name), default="never")
        since = since[:16].replace("T", " ")
        runs = [server for server, h in held.items() if h.current == name]
        keeps = [server for server, h in held.items() if name in h.kept]
        table.add_row(name, since, ", ".join(runs), ", ".join(keeps))
    console.print(table)
    console.print(f"times are UTC; the source in config.py is release {_of_source(wanted)}")
    if errors:
        raise Exit("\n".join(errors), 1)


def rollback(to: str = "", batch: str = "1", wait: bool = False) -> None:
    """Have all app servers run an earlier release, as a rolling update; raises Exit.

    Without `to`, the one that ran before.
    """
    started = time.monotonic()
    wanted = scenario()
    names = machines_of(_stages(wanted, batch))
    with operation(wanted, names, "app.rollback", wait) as remotes:
        wanted = without_absent(wanted, names, remotes)
        held, errors = _held(wanted)
        if errors:
            raise refuse("\n".join(errors))
        release = _chosen(held, to)
        holder = next(server for server, h in held.items() if release in h.kept)
        pinned = replace(wanted, pinned=Pinned(release, holder))
        bring(pinned, _stages(pinned, batch), remotes, started)
    console.print(f"{wanted.application.name} runs release {release}")
    if release != _of_source(wanted):
        console.print(
            f"the source that config.py names is release {_of_source(wanted)}: "
            "the next deploy brings that"
        )


def restart(batch: str = "1", wait: bool = False) -> None:
    """Restart the application on all app servers, a batch at a time while the others serve."""
    started = time.monotonic()
    wanted = scenario()
    names = _serving(wanted, batch).machines
    with operation(wanted, names, "app.restart", wait) as remotes:
        wanted = without_absent(wanted, names, remotes)
        stage = _serving(wanted, batch)
        changes = [service.restarting() for service in app.services(wanted)]
        plan = {stage.name: {name: changes for name in stage.machines}}
        carry_out(wanted, plan, [stage], remotes, started)


def logs(follow: bool = False, lines: str = "20") -> None:
    """Print what the application said on all app servers, each line with its server's name."""
    wanted = scenario()
    if not lines.isdecimal():
        raise refuse(f"--lines is {lines!r}, it must be a whole number.")
    names = [machine.name for machine in wanted.tier("app")]
    width, secrets = max(map(len, names)), known_secrets(wanted.state)
    command = servers.journal(wanted, int(lines), follow)

    def tell(name: str) -> Callable[[str], None]:
        return lambda line: console.print(f"{name:{width}}  {hide(line, secrets)}", markup=False)

    try:
        with connected(wanted, names) as remotes:
            everywhere(list(remotes.values()), lambda r: r.follow(command, tell(r.name)))
    except MachineErrors as errors:
        raise Exit(hide(str(errors), secrets), 1) from None
    except KeyboardInterrupt:
        console.print()  # how --follow ends


def _stages(wanted: Scenario, batch: str) -> list[Stage]:
    try:
        return pipeline.stages(wanted, "app", batch)
    except BatchError as error:
        raise refuse(f"{error}.") from None


def _serving(wanted: Scenario, batch: str) -> Stage:
    (stage,) = (stage for stage in _stages(wanted, batch) if stage.name == "serve")
    return stage


def _held(wanted: Scenario) -> tuple[dict[str, Held], list[str]]:
    """Return what each app server has, and a sentence for each that could not be asked."""
    errors = []

    def ask(machine: Machine) -> Held | None:
        with closing(Remote(machine.name, machine.ssh)) as remote:
            try:
                text = remote.run(servers.holdings(wanted), seconds=20).text
            except MachineError as error:
                if not may_be_absent(wanted, error):
                    errors.append(str(error))
                return None
        words = [line.split() for line in text.splitlines()]
        return Held(
            next((line[1] for line in words if line[0] == "current" and line[1:]), ""),
            frozenset(line[1] for line in words if line[0] == "keeps"),
            tuple((line[1], line[2]) for line in words if line[0] == "served" and line[2:]),
        )

    machines = wanted.present("app")
    with ThreadPoolExecutor(64) as pool:
        found = dict(zip([m.name for m in machines], pool.map(ask, machines), strict=True))
    return {name: held for name, held in found.items() if held}, sorted(errors)


def _of_source(wanted: Scenario) -> str:
    """Return the release of the source; going back does not fail where that cannot be read."""
    try:
        return identifier(wanted)
    except SourceError:
        return "unknown"


def _in_order(held: dict[str, Held]) -> list[str]:
    """Return all releases that a server keeps, the one that served last first."""
    last = {name: "" for h in held.values() for name in h.kept}
    for h in held.values():
        for moment, name in h.history:
            if name in last:
                last[name] = max(last[name], moment)
    return sorted(last, key=lambda name: (last[name], name), reverse=True)


def _chosen(held: dict[str, Held], to: str) -> str:
    """Return the release to go back to; raises Exit when there is none."""
    known = _in_order(held)
    if to:
        if to not in known:
            raise refuse(f"No server keeps a release {to!r}; there are {', '.join(known)}.")
        return to
    running = Counter(h.current for h in held.values() if h.current)
    if not running:
        raise refuse("No release runs: fab deploy first.")
    current = running.most_common(1)[0][0]
    earlier = sorted(
        (moment, name)
        for h in held.values()
        for moment, name in h.history
        if name != current and name in known
    )
    if not earlier:
        raise refuse(f"No release served before {current}, so there is none to go back to.")
    return earlier[-1][1]
