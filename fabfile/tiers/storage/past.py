"""Which times of the database can be had: its backups, and what is kept of PostgreSQL's log.

A backup and the log behind it give any second, until a piece of the log is missing. A database
that was brought back goes on on a timeline of its own, which leaves another one at some point
(PostgreSQL manual, "Timelines"): no way leads there from a backup that was made on that one later.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fabfile.engine import sent
from fabfile.engine.remote import Remote
from fabfile.tiers.storage import repository

if TYPE_CHECKING:
    from fabfile.tiers.storage.programs.archive import Found, Given

PROGRAM = Path(__file__).parent / "programs/archive.py"
# Of PostgreSQL's log, as initdb makes it.
PIECE = 1 << 24
# On a volume that has many pieces, and heals.
SECONDS = 120


@dataclass(frozen=True)
class Kept:
    """A backup of the database: its name, what kind it is of, its times, and its bytes.

    `timeline` is the one that it was made on, and it needs the log from the piece `first` on; with
    the piece `last`, it is whole.
    """

    label: str
    kind: str
    start: int
    stop: int
    size: int
    timeline: int
    first: int
    last: int

    @property
    def begin(self) -> int:
        """The first second that can be had with it: its times are in whole ones."""
        return self.stop + 1


@dataclass(frozen=True)
class Timeline:
    """A timeline: when it began, and those that lead to it, each with the piece that ended it."""

    number: int
    began: float
    before: tuple[tuple[int, int], ...]

    def on(self, number: int) -> int:
        """Return the timeline of a piece of the log on the way that it stands for."""
        return next((on for on, left in self.before if number < left), self.number)

    def leads_from(self, backup: Kept) -> bool:
        """Return whether a backup is on that way."""
        left = dict(self.before).get(backup.timeline)
        return backup.timeline == self.number or (left is not None and backup.last < left)


@dataclass(frozen=True)
class Run:
    """Pieces of a timeline of which none is missing, and when the last one was kept."""

    timeline: int
    first: int
    last: int
    kept: float


@dataclass(frozen=True)
class Past:
    """What the backups have of the database, the oldest first."""

    backups: tuple[Kept, ...]
    timelines: tuple[Timeline, ...] = ()
    runs: tuple[Run, ...] = ()
    system: str = ""

    @cached_property
    def _periods(self) -> tuple[tuple[float, float, Timeline], ...]:
        """From when until when the database was on which timeline."""
        numbers = [each.timeline for each in self.backups] + [each.timeline for each in self.runs]
        first = min(numbers, default=1)
        begun = sorted(self.timelines, key=lambda each: (each.began, each.number))
        if first not in {each.number for each in begun}:
            begun.insert(0, Timeline(first, -math.inf, ()))
        ends = [*(each.began for each in begun[1:]), math.inf]
        return tuple(
            (each.began, end, each)
            for each, end in zip(begun, ends, strict=True)
            if end > each.began
        )

    def timeline(self, moment: float | None) -> Timeline:
        """Return the timeline that the database was on at a time; without one, the latest."""
        if moment is None:
            return max((each for *_, each in self._periods), key=lambda each: each.number)
        found = [each for begin, _, each in self._periods if begin <= moment]
        return (found or [self._periods[0][2]])[-1]

    def backup(self, moment: float | None) -> Kept | None:
        """Return the last backup from which a way leads to a time; without one, to the end."""
        on = self.timeline(moment)
        found = [
            each
            for each in self.backups
            if on.leads_from(each) and (moment is None or each.begin <= moment)
        ]
        return found[-1] if found else None

    def log_behind(self, backup: Kept, on: Timeline) -> int:
        """Return how many bytes of log there may be behind a backup, on the way to a timeline."""
        lasts = [each.last for each in self.runs if each.timeline == on.on(each.last)]
        return PIECE * max(0, max(lasts, default=0) - backup.first + 1)

    def _end(self, backup: Kept, on: Timeline) -> float:
        """Return when the last piece was kept before the first that is missing; inf for none."""
        number, kept = backup.first, -math.inf
        while run := self._run(on.on(number), number):
            # What comes behind the point where a timeline was left is not on the way.
            left = next((left for each, left in on.before if each == run.timeline), math.inf)
            number, kept = int(min(run.last + 1, left)), run.kept
            if number == left and number <= run.last:
                kept = on.began
        later = any(
            each.timeline == on.on(each.first) and each.first > number for each in self.runs
        )
        return kept if later else math.inf

    def _run(self, timeline: int, number: int) -> Run | None:
        here = (each for each in self.runs if each.timeline == timeline)
        return next((each for each in here if each.first <= number <= each.last), None)

    def spans(self) -> list[tuple[float, float]]:
        """Return from when until when any second can be had; inf where there is no end."""
        found: list[tuple[float, float]] = []
        for begin, end, on in self._periods:
            for backup in filter(on.leads_from, self.backups):
                span = max(begin, backup.begin), min(end, self._end(backup, on))
                if span[0] < span[1]:
                    found.append(span)
        return list(_joined(sorted(found)))

    def told(self, say: Callable[[float], str]) -> str:
        """Return which times can be had, in words; `say` writes a time."""
        *before, last = self.spans() or [(math.inf, math.inf)]
        if last[0] == math.inf:
            return "no time"
        parts = [f"from {say(begin)} to {say(end)}" for begin, end in before]
        if last[1] < math.inf:
            parts.append(f"from {say(last[0])} to {say(last[1])}")
        else:
            parts.append(f"from {say(last[0])} on" if before else f"since {say(last[0])}")
        return f"any second {', and '.join(parts)}"

    def impossible(self, moment: datetime | None, now: float, say: Callable[[float], str]) -> str:
        """Return why the database cannot be brought back to a time, "" when it can."""
        spans = self.spans()
        if not self.backups or not spans:
            return "There is no backup to bring back."
        if moment is None:
            return ""
        wanted = moment.timestamp()
        if wanted > now:
            return f"{say(wanted)} is in the future."
        if wanted < spans[0][0]:
            return f"{say(wanted)} is before the first backup, of {say(spans[0][0])}."
        if any(begin <= wanted <= end for begin, end in spans):
            return ""
        until = max(end for _, end in spans if end < wanted)
        after = [f", and from {say(begin)} on" for begin, _ in spans if begin > wanted][:1]
        return (
            f"{say(wanted)} is in no backup: PostgreSQL's log of that time was not kept. It can be "
            f"any second up to {say(until)}{''.join(after)}."
        )


def _joined(spans: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield spans, in order, those that meet or overlap as one."""
    current: tuple[float, float] | None = None
    for begin, end in spans:
        if current and begin <= current[1]:
            current = current[0], max(current[1], end)
        else:
            if current:
                yield current
            current = begin, end
    if current:
        yield current


def known(text: str) -> list[Kept]:
    """Return the backups that `pgbackrest info --output=json` tells of, the oldest first.

    Those of the database that is there: of one that was there before it, others may be left.
    """
    found = [
        Kept(
            each["label"],
            each["type"],
            each["timestamp"]["start"],
            each["timestamp"]["stop"],
            each["info"]["size"],
            *_piece(each["archive"]["start"]),
            _piece(each["archive"]["stop"])[1],
        )
        for stanza in json.loads(text)
        for each in stanza.get("backup", [])
        if each["database"]["id"] == max(one["id"] for one in stanza["db"])
    ]
    return sorted(found, key=lambda each: each.stop)


def _piece(name: str) -> tuple[int, int]:
    """Return timeline and number of a piece of the log, of its name."""
    return int(name[:8], 16), int(name[8:16], 16) * 256 + int(name[16:24], 16)


def system(text: str) -> str:
    """Return PostgreSQL's number for the cluster that is backed up, of the same answer."""
    databases = [one for stanza in json.loads(text) for one in stanza.get("db", [])]
    return str(max(databases, key=lambda one: one["id"])["system-id"]) if databases else ""


def given() -> Given:
    """Return what the program is told on a storage server."""
    return {
        "command": repository.pgbackrest(),
        "repository": repository.REPOSITORY,
        "stanza": repository.STANZA,
    }


def read(found: Found) -> Past:
    """Return what the program's answer tells."""
    return Past(
        tuple(known(found["info"])),
        tuple(Timeline(number, began, tuple(way)) for number, began, way in found["timelines"]),
        tuple(Run(*each) for each in found["runs"]),
        system(found["info"]),
    )


def look(remote: Remote) -> Past:
    """Return what a storage server has; raises RuntimeError or MachineError when it cannot tell."""
    return read(sent.answer(remote.name, remote, PROGRAM, given(), SECONDS))
