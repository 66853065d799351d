"""The application's releases on the app servers: which there are, restarting, what they say."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from invoke.exceptions import Exit
from rich.table import Table

from fabfile import pipeline
from fabfile.engine.converge import MachineErrors, Stage, everywhere
from fabfile.engine.remote import MachineError, Remote
from fabfile.operations.deployment import carry_out
from fabfile.operations.progress import console, hide
from fabfile.operations.session import (
    connected,
    may_be_absent,
    operation,
    refuse,
    scenario,
    without_absent,
)
from fabfile.scenario import Machine, Scenario
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

    def had(self, release: str) -> bool:
        """Return whether a release has served there."""
        return any(name == release for _, name in self.history)


def show() -> None:
    """Print the releases, the latest first, and which servers have and run each."""
    wanted = scenario()
    held, errors = holdings(wanted)
    table = Table("release", "last served from", "runs on", "kept on", box=None)
    for name in in_order(held):
        since = max((t for h in held.values() for t, r in h.history if r == name), default="never")
        since = since[:16].replace("T", " ")
        runs = [server for server, h in held.items() if h.current == name]
        keeps = [server for server, h in held.items() if name in h.kept]
        table.add_row(name, since, ", ".join(runs), ", ".join(keeps))
    console.print(table)
    console.print(f"times are UTC; the source in config.py is release {of_source(wanted)}")
    if errors:
        raise Exit("\n".join(errors), 1)


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


def stages(wanted: Scenario, batch: str) -> list[Stage]:
    """Return the app tier's stages, a batch of servers at a time; raises Exit for a bad batch."""
    try:
        return pipeline.stages(wanted, "app", batch)
    except BatchError as error:
        raise refuse(f"{error}.") from None


def _serving(wanted: Scenario, batch: str) -> Stage:
    (stage,) = (stage for stage in stages(wanted, batch) if stage.name == "serve")
    return stage


def holdings(wanted: Scenario) -> tuple[dict[str, Held], list[str]]:
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


def of_source(wanted: Scenario) -> str:
    """Return the release of the source; going back does not fail where that cannot be read."""
    try:
        return identifier(wanted)
    except SourceError:
        return "unknown"


def in_order(held: dict[str, Held]) -> list[str]:
    """Return all releases that a server keeps, the one that served last first."""
    last = {name: "" for h in held.values() for name in h.kept}
    for h in held.values():
        for moment, name in h.history:
            if name in last:
                last[name] = max(last[name], moment)
    return sorted(last, key=lambda name: (last[name], name), reverse=True)
