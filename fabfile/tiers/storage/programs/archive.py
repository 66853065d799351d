"""What there is of PostgreSQL's log among the backups, and what they say of themselves.

A piece of the log is known by its timeline and its number; see the PostgreSQL manual, "Database
File Layout" and "Timelines". Each has 16 MiB, as initdb makes it.
"""

from __future__ import annotations

import os
import subprocess
from typing import TypedDict

PIECE_BITS, DIGITS = 24, frozenset("0123456789ABCDEF")
HISTORY = ".history"


class Given(TypedDict):
    """The command of pgBackRest, the directory of its repository, and the name of the cluster."""

    command: list[str]
    repository: str
    stanza: str


class Found(TypedDict):
    """What `pgbackrest info --output=json` says, and what the repository has.

    `timelines` are (number, second at which it began, [(timeline before, piece in which that was
    left), ...]), and `runs` (timeline, first piece, last piece, second at which that was kept):
    between two of a timeline, there is none.
    """

    info: str
    timelines: list[tuple[int, float, list[tuple[int, int]]]]
    runs: list[tuple[int, int, int, float]]


def said(command: list[str]) -> str:
    """Return what a command prints; ends with its last words when it fails."""
    done = subprocess.run(command, cwd="/", capture_output=True, text=True)
    if done.returncode:
        raise SystemExit((done.stderr + done.stdout).strip() or f"it ended with {done.returncode}")
    return done.stdout


def newest(top: str) -> str:
    """Return the directory of the cluster that was backed up last, "" when there is none."""
    names = os.listdir(top) if os.path.isdir(top) else []
    found = [(int(name.partition("-")[2]), name) for name in names if name[-1:].isdecimal()]
    return f"{top}/{max(found)[1]}" if found else ""


def numbered(name: str) -> tuple[int, int] | None:
    """Return timeline and number of the piece of the log that a file is, None when it is none."""
    number, dash, _ = name.partition("-")
    if not dash or len(number) != 24 or not set(number) <= DIGITS:
        return None
    return int(number[:8], 16), int(number[8:16], 16) * 256 + int(number[16:], 16)


def runs(directory: str) -> list[tuple[int, int, int, float]]:
    """Return the runs of pieces in which none is missing, in order."""
    files = {}
    for below in os.scandir(directory):
        if below.is_dir():
            for name in os.listdir(below.path):
                if piece := numbered(name):
                    files[piece] = f"{below.path}/{name}"
    found: list[tuple[int, int, int]] = []
    for timeline, number in sorted(files):
        if found and found[-1][0] == timeline and found[-1][2] == number - 1:
            found[-1] = (timeline, found[-1][1], number)
        else:
            found.append((timeline, number, number))
    return [(on, first, last, os.stat(files[on, last]).st_mtime) for on, first, last in found]


def before(history: str) -> list[tuple[int, int]]:
    """Return the timelines before one, each with the piece in which it was left, of its history."""
    found = []
    for line in history.splitlines():
        words = line.split()
        if len(words) > 1 and words[0].isdecimal():
            high, _, low = words[1].partition("/")
            found.append((int(words[0]), ((int(high, 16) << 32) + int(low, 16)) >> PIECE_BITS))
    return found


def main(given: Given) -> Found:
    """Return what there is."""
    directory = newest(f"{given['repository']}/archive/{given['stanza']}")
    timelines = []
    for name in sorted(os.listdir(directory)) if directory else []:
        if name.endswith(HISTORY):
            path = f"{directory}/{name}"
            history = said([*given["command"], "repo-get", path[len(given["repository"]) + 1 :]])
            number = int(name[: -len(HISTORY)], 16)
            timelines.append((number, os.stat(path).st_mtime, before(history)))
    return {
        "info": said([*given["command"], "info", "--output=json"]),
        "timelines": timelines,
        "runs": runs(directory) if directory else [],
    }
