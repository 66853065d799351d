"""The search for SQLite files: whole directories, or those files that a database would be among."""

from __future__ import annotations

import heapq
import os
import random
import time
from collections.abc import Collection, Iterable, Iterator
from typing import TypedDict

MAGIC = b"SQLite format 3\0"
ROOT = 0
ENDINGS = (".sqlite", ".sqlite3", ".db", ".db3", "-wal", "-journal")


class Given(TypedDict):
    """Where is looked, and for how many `seconds` at most.

    Of the homes in `whole` everything is read but `releases` and `uploads`, and the release that
    runs. So is what the units of the application `private` have as /tmp. Of those in `sampled` all
    names are, and so many files as `sample` says for each reason.
    """

    whole: list[str]
    private: str
    sampled: list[str]
    sample: int
    seconds: float


class Found(TypedDict):
    """The paths that are databases, and how many names were read in the sampled directories.

    Those that `came` with the release are root's alone, and no data that the application writes.
    """

    found: list[str]
    came: list[str]
    names: int


def files(top: str, skipped: Collection[str], end: float) -> Iterator[os.DirEntry[str]]:
    """Yield every file below a directory until the time `end`; links are not followed."""
    waiting = [top]
    while waiting and time.monotonic() < end:
        # In no order: not always the same ones are left out when there are too many.
        directory = waiting.pop(random.randrange(len(waiting)))
        try:
            for entry in os.scandir(directory):
                if entry.path in skipped or entry.is_symlink():
                    continue
                if entry.is_dir():
                    waiting.append(entry.path)
                elif entry.is_file():
                    yield entry
        except OSError:
            continue


def is_database(path: str) -> bool:
    """Tell whether a file begins as SQLite's do."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def is_roots(path: str) -> bool:
    """Tell whether only root can write a file, and so no application."""
    stat = os.stat(path)
    return stat.st_uid == ROOT and not stat.st_mode & 0o022


def private(name: str) -> list[str]:
    """Return the directories that systemd gives an application's units as /tmp and /var/tmp."""
    marks = (f"-{name}.service-", f"-{name}@")
    return [
        entry.path
        for top in ("/tmp", "/var/tmp")
        for entry in os.scandir(top)
        if entry.name.startswith("systemd-private-") and any(mark in entry.name for mark in marks)
    ]


def of_interest(entries: Iterable[os.DirEntry[str]], sample: int) -> tuple[set[str], int]:
    """Return the paths that a database would be among, and how many there are of all.

    Those whose name says so, the latest changed, the largest, and some by chance.
    """
    named: set[str] = set()
    chosen: list[str] = []
    stats: list[tuple[float, int, str]] = []
    for entry in entries:
        try:
            stat = entry.stat()
        except OSError:
            continue
        if entry.name.endswith(ENDINGS):
            named.add(entry.path)
        stats.append((stat.st_mtime, stat.st_size, entry.path))
        if len(chosen) < sample:
            chosen.append(entry.path)
        elif random.randrange(len(stats)) < sample:
            chosen[random.randrange(sample)] = entry.path
    latest = heapq.nlargest(sample, stats)
    largest = heapq.nlargest(sample, stats, key=lambda each: each[1])
    return {*named, *chosen, *(path for *_, path in (*latest, *largest))}, len(stats)


def main(given: Given) -> Found:
    """Return which files are databases."""
    end = time.monotonic() + given["seconds"]
    found: set[str] = set()
    came: set[str] = set()
    names = 0
    places = private(given["private"]) if given["private"] else []
    for top in given["whole"]:
        skipped = (f"{top}/releases", f"{top}/uploads")
        release = os.path.realpath(f"{top}/current")
        paths = (each.path for each in files(release, skipped, end))
        for path in filter(is_database, paths):
            (came if is_roots(path) else found).add(path)
        found.update(filter(is_database, (each.path for each in files(top, skipped, end))))
    for top in places:
        found.update(filter(is_database, (each.path for each in files(top, (), end))))
    for top in given["sampled"]:
        chosen, count = of_interest(files(top, (f"{top}/.glusterfs",), end), given["sample"])
        found.update(filter(is_database, chosen))
        names += count
    return {"found": sorted(found), "came": sorted(came), "names": names}
