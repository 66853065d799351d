"""The databases of a pair: which one is the primary, and a copy made anew, by a person's word."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from invoke.exceptions import Exit

from fabfile.engine.converge import everywhere
from fabfile.engine.remote import Remote
from fabfile.engine.waiting import AWAIT
from fabfile.operations.progress import console
from fabfile.operations.session import operation, refuse, scenario, without_absent
from fabfile.scenario import Scenario
from fabfile.tiers.database import members, patroni, pooler, way

# One that has just become a standby, or was away, is in step a little later.
STEP_SECONDS = 30


def switchover(to: str, wait: bool) -> None:
    """Make another database the primary, while what clients ask waits; raises Exit.

    `to` names it; "" is the one that has all that was acknowledged.
    """
    wanted = _paired()
    names = [each.name for each in wanted.tier("database")]
    if to and to not in names:
        raise refuse(f"--to is {to!r}, it must be one of {', '.join(names)}.")
    with operation(wanted, names, "database.switchover", wait) as reached:
        wanted = without_absent(wanted, names, reached)
        remotes = {name: reached[name] for name in names if name in reached}
        now = _primary(wanted, remotes)
        if len(remotes) == 1:
            raise refuse(f"{now} is the only one that can be reached.")
        if to == now:
            console.print(f"{now} is the primary already")
            return
        functions = patroni.library(wanted, wanted.machine(now))
        ready = remotes[now].run(
            f"{AWAIT}{functions}echo 'CHECKPOINT;' | ask && in_step {STEP_SECONDS}",
            seconds=2 * STEP_SECONDS,
        )
        if ready.code:
            raise refuse(f"{now}: {ready.text.strip()}")
        target = ready.text.strip()
        if to not in ("", target):
            raise refuse(f"{to} has not all that {now} has acknowledged; {target} has.")
        begun = time.monotonic()
        _switch(wanted, remotes, now, target)
    console.print(f"{target} is the primary, after {time.monotonic() - begun:.1f} s; {now} follows")


def _switch(wanted: Scenario, remotes: Mapping[str, Remote], now: str, target: str) -> None:
    """Have one follow the other, and let go on what waits as soon as a way leads there.

    Raises Exit.
    """
    functions = patroni.library(wanted, wanted.machine(now))
    # Patroni asks itself each second whether that is done; the ways know it earlier.
    order = f"{AWAIT}{functions}switch_to {target}"
    go_on = f"{pooler.library(wanted)}{way.leads_to(target)} && resume_pooler"

    def led(remote: Remote) -> bool:
        return remote.run(go_on, seconds=60).code == 0

    with (
        members.paused(wanted, lambda words: console.print(words, markup=False)),
        ThreadPoolExecutor(1) as pool,
        closing(Remote(now, wanted.machine(now).ssh)) as another,
    ):
        done = pool.submit(another.run, order, seconds=60)
        late = [name for name, it in everywhere([*remotes.values()], led).items() if not it]
        if done.result().code:
            raise Exit(f"{now}: {done.result().text.strip()}", 1)
    if late:
        raise Exit(f"{', '.join(late)} led nobody to {target} within {way.LEAD_SECONDS} s", 1)


def reinit(name: str, wait: bool) -> None:
    """Have a standby copy the primary anew; raises Exit."""
    wanted = _paired()
    names = [each.name for each in wanted.tier("database")]
    if name not in names:
        raise refuse(f"--name is {name!r}, it must be one of {', '.join(names)}.")
    with operation(wanted, names, "database.reinit", wait) as reached:
        remotes = {name: reached[name] for name in names if name in reached}
        now = _primary(wanted, remotes)
        if name not in remotes:
            raise refuse(f"{name} cannot be reached.")
        if name == now:
            raise refuse(f"{name} is the primary: 'invoke database.switchover' first.")
        begun = time.monotonic()
        functions = patroni.library(wanted, wanted.machine(name))
        done = remotes[name].run(f"{AWAIT}{functions}copy_anew", seconds=patroni.SECONDS)
        if done.code:
            raise Exit(f"{name}: {done.text.strip()}", 1)
    console.print(f"{name} has a new copy of {now}, after {time.monotonic() - begun:.1f} s")


def _paired() -> Scenario:
    wanted = scenario()
    if not wanted.paired("database"):
        (only,) = wanted.tier("database")
        raise refuse(f"{wanted.name} has one database, {only.name}: nobody can take its place.")
    return wanted


def _primary(wanted: Scenario, remotes: Mapping[str, Remote]) -> str:
    """Return the name of the primary; raises Exit when there is none."""
    if name := members.among(wanted, remotes.values()):
        return name
    raise refuse("None of the databases is the primary now: 'invoke status' shows them.")
