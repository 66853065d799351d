#!/usr/bin/python3
"""Backs up the database if its turn has come: `database_backup.py CONFIG STANZA DIRECTORY [TYPE]`.

Every storage server runs it, and one of them does it at a time: who holds the lock in DIRECTORY, on
the volume that they share. With a TYPE of pgBackRest's, `full` or `diff`, it does so in any case;
with `tell`, it says how old the last ones are, and does nothing.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import time
from typing import Any

HOUR = 3600
# A full backup is made each week and a differential one each day, at about the same time.
FULL, DIFF = 7 * 24 * HOUR - HOUR, 24 * HOUR - HOUR
# How long one that a person wants waits for another that is being made.
PATIENCE = 600


def due(backups: list[dict[str, Any]], now: float) -> str:
    """Return the type of the backup that is due, "" when none is.

    `backups` are those of `pgbackrest info --output=json`.
    """
    full = [each["timestamp"]["stop"] for each in backups if each["type"] == "full"]
    last = [each["timestamp"]["stop"] for each in backups]
    if not full or now - max(full) >= FULL:
        return "full"
    return "diff" if now - max(last) >= DIFF else ""


def told(backups: list[dict[str, Any]], now: float) -> str:
    """Return how old the last backup and the last full one are."""
    stops = {kind: each["timestamp"]["stop"] for each in backups for kind in ("last", each["type"])}
    if not stops:
        return "none"
    return ", ".join(
        f"{kind} {(now - stops[kind]) / 60:.0f} min ago"
        for kind in ("last", "full")
        if kind in stops
    )


def locked(path: str, seconds: float) -> Any:
    """Return the open file of the lock, None when another has held it for so long."""
    file = open(path, "w")  # noqa: SIM115, it is held to the end
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() >= end:
                return None
            time.sleep(1)


def main(config: str, stanza: str, directory: str, wanted: str = "") -> int:
    """Make the backup, or tell of those there are; answer the exit code."""
    command = ["pgbackrest", f"--config={config}", f"--stanza={stanza}"]
    if wanted == "tell":
        code, backups = known(command)
        print(f"backups of the database: {told(backups, time.time())}")
        return code
    lock = locked(f"{directory}/database.lock", PATIENCE if wanted else 0)
    if lock is None:
        print("another storage server is at it")
        return 75 if wanted else 0
    code, backups = known(command)
    kind = wanted or due(backups, time.time())
    if code or not kind:
        return code
    # Nothing to do where it is right; of a new database, the old one's backups stay.
    if subprocess.call([*command, "stanza-create"], stderr=subprocess.DEVNULL):
        code = subprocess.call([*command, "stanza-upgrade"])
        if code:
            return code
    return subprocess.call([*command, "backup", f"--type={kind}"])


def known(command: list[str]) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit code of `pgbackrest info`, and the backups that it tells of."""
    info = subprocess.run([*command, "info", "--output=json"], capture_output=True, text=True)
    if info.returncode:
        print(info.stdout, info.stderr, file=sys.stderr)
        return info.returncode, []
    return 0, [each for one in json.loads(info.stdout) for each in one.get("backup", [])]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
