"""Going back to an earlier release of the application, and if wanted to the data of its time.

A server keeps the last releases that served on it, so going back needs neither a build nor the
source. The database stays as it is, unless it is to be brought back from the backups, too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime

from fabfile.engine.remote import MachineError, Remote
from fabfile.operations import restoring
from fabfile.operations.backups import SHOWN, past_of
from fabfile.operations.deployment import bring, machines_of
from fabfile.operations.progress import console, hide
from fabfile.operations.releases import Held, holdings, in_order, of_source, stages
from fabfile.operations.restoring import agree
from fabfile.operations.session import operation, refuse, scenario, without_absent
from fabfile.scenario import Pinned, Scenario
from fabfile.scenario.credentials import known_secrets
from fabfile.tiers.app import migration
from fabfile.tiers.database.members import primary
from fabfile.tiers.storage import repository
from fabfile.tiers.storage.backup_checks import ago


@dataclass(frozen=True)
class Way:
    """Where a rollback goes: a release, a server that keeps it, and a time of the data, if any."""

    release: str
    holder: str
    moment: datetime | None = None


def rollback(
    to: str = "", batch: str = "1", wait: bool = False, with_data: bool = False, yes: bool = False
) -> None:
    """Have all app servers run an earlier release, as a rolling update; raises Exit.

    Without `to`, the one that ran before. `with_data` brings the database back, too, to what it was
    before the migrations of the releases behind that one, and asks beforehand unless `yes`.
    """
    started = time.monotonic()
    wanted = scenario()
    names = machines_of(stages(wanted, batch))
    agreed = None
    if with_data:
        names += tuple(each.name for each in wanted.tier("database"))
        agreed = _way(wanted, to, with_data)
        if not yes:
            agree(_loss(wanted, agreed))
    with operation(wanted, names, "app.rollback", wait) as remotes:
        wanted = without_absent(wanted, names, remotes)
        way = _way(wanted, to, with_data)
        if agreed and agreed != way:
            raise refuse("Somebody changed releases or database meanwhile: run it again.")
        if way.moment:
            to = way.moment.isoformat(sep=" ")
            console.print(
                f'where this ends early: invoke backup.restore --to "{to}", and then fab '
                f"app.rollback --to {way.release}",
                markup=False,
            )
            found = past_of(wanted)
            restoring.bring_back(wanted, way.moment, found, remotes, started, serve=False)
        pinned = replace(wanted, pinned=Pinned(way.release, way.holder))
        bring(pinned, stages(pinned, batch), remotes, started)
    console.print(f"{wanted.application.name} runs release {way.release}")
    if way.moment:
        restoring.tell(wanted, way.moment, started)
    if way.release != of_source(wanted):
        console.print(
            f"the source that config.py names is release {of_source(wanted)}: "
            "the next deploy brings that"
        )


def _way(wanted: Scenario, to: str, with_data: bool) -> Way:
    """Return where a rollback goes; raises Exit when there is no such way."""
    held, errors = holdings(wanted)
    if errors:
        raise refuse("\n".join(errors))
    release = _chosen(held, to)
    holder = next(server for server, h in held.items() if release in h.kept)
    if not with_data:
        return Way(release, holder)
    served = [max(t for t, r in h.history if r == release) for h in held.values() if h.had(release)]
    if not served:
        raise refuse(f"Nobody knows when {release} served, and so what the database was then.")
    # By another clock than the database's, its own may seem to come later.
    begun = [moment for moment, name in _begun(wanted) if name != release]
    moment = before(begun, datetime.fromisoformat(min(served)))
    if not moment:
        raise refuse(
            f"No migration is noted since {release} served: app.rollback without --with-data goes "
            "back to it, and all data stays."
        )
    if wrong := restoring.impossible(wanted, past_of(wanted), moment):
        raise refuse(f"The database cannot be brought back: {wrong}")
    return Way(release, holder, moment)


def _begun(wanted: Scenario) -> list[tuple[datetime, str]]:
    """Return when each migration began, and of which release; raises Exit when nobody can tell."""
    builder = wanted.builder
    try:
        with closing(Remote(builder.name, builder.ssh)) as remote:
            done = remote.run(migration.begun(wanted), seconds=20)
    except MachineError as error:
        raise refuse(str(error)) from None
    if done.code:
        said = hide(done.text.strip(), known_secrets(wanted.state))
        raise refuse(f"The database cannot be asked for its migrations: {said}")
    lines = (line.split() for line in done.text.splitlines())
    return [(datetime.fromisoformat(moment), name) for moment, name in lines]


def before(begun: Sequence[datetime], served: datetime) -> datetime | None:
    """Return when the first migration began behind a time at which a release came to serve."""
    return min((each for each in begun if each > served), default=None)


def _loss(wanted: Scenario, way: Way) -> str:
    """Return what a rollback with data replaces, and how that is looked at beforehand."""
    assert way.moment
    machine = primary(wanted)
    moment = way.moment.astimezone()
    return (
        f"{wanted.application.name} goes back to release {way.release}, and all databases on "
        f"{machine.name} to {moment.strftime(SHOWN)}, before the migration that came "
        f"behind it, {ago(time.time() - moment.timestamp())}. EVERYTHING WRITTEN SINCE IS LOST to "
        "them: rows that were added are gone, what was changed or deleted is as it was. It stays "
        f"in the backups for {repository.DAYS} days: 'invoke backup.restore --into now' makes a "
        f"copy beforehand. {wanted.application.name} stands still meanwhile."
    )


def _chosen(held: dict[str, Held], to: str) -> str:
    """Return the release to go back to; raises Exit when there is none."""
    known = in_order(held)
    if to:
        if to not in known:
            raise refuse(f"No server keeps a release {to!r}; there are {', '.join(known)}.")
        return to
    running = Counter(h.current for h in held.values() if h.current)
    if not running:
        raise refuse("No release runs: fab deploy first.")
    current = running.most_common(1)[0][0]
    if len(running) > 1:
        current, is_way_back = _last_begun(held) or (current, False)
        if is_way_back:
            return current
    earlier = sorted(
        (moment, name)
        for h in held.values()
        for moment, name in h.history
        if name != current and name in known
    )
    if not earlier:
        raise refuse(f"No release served before {current}, so there is none to go back to.")
    return earlier[-1][1]


def _last_begun(held: dict[str, Held]) -> tuple[str, bool] | None:
    """Return which of several releases that run came last, and whether as a way back; if known.

    Several do when a change was cut short. A release that the server has had before came back to
    it, and going back again is to go on with that.
    """
    latest = [(h.history[-1][0], server) for server, h in held.items() if h.current and h.history]
    if not latest:
        return None
    history = [name for _, name in held[max(latest)[1]].history]
    return history[-1], history[-1] in history[:-1]
