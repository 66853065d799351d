#!/usr/bin/python3
"""Backs up the database if its turn has come: `database_backup.py CONFIG STANZA [TYPE]`.

Every storage server runs it, one at a time: whoever starts it holds a lock on the volume that they
share. With a TYPE of pgBackRest's, `full` or `diff`, it does so in any case; with `anew`, also
where the cluster is not the one of the backups, which stay; with `tell`, it says how old the last
ones are, and does nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

HOUR = 3600
ANEW = "anew"
# A full backup is made each week and a differential one each day, at about the same time.
FULL, DIFF = 7 * 24 * HOUR - HOUR, 24 * HOUR - HOUR


def due(backups: list[dict[str, Any]], now: float, latest: str = "") -> str:
    """Return the type of the backup that is due, "" when none is.

    `backups` are those of `pgbackrest info --output=json`, and `latest` the piece of the log that
    was kept last.
    """
    full = [each["timestamp"]["stop"] for each in backups if each["type"] == "full"]
    last = [each["timestamp"]["stop"] for each in backups]
    if not full or now - max(full) >= FULL:
        return "full"
    # A database that was brought back is on a timeline of its own, the first eight digits.
    is_other = latest[:8] > max(each["archive"]["stop"] for each in backups)[:8]
    return "diff" if now - max(last) >= DIFF or is_other else ""


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


def main(config: str, stanza: str, wanted: str = "") -> int:
    """Make the backup, or tell of those there are; answer the exit code."""
    command = ["pgbackrest", f"--config={config}", f"--stanza={stanza}"]
    code, backups, latest = known(command)
    if wanted == "tell":
        print(f"backups of the database: {told(backups, time.time())}")
        return code
    kind = "full" if wanted == ANEW else wanted or due(backups, time.time(), latest)
    if code or not kind:
        return code
    # Where it is as it should be, nothing changes. An empty cluster in the place of a lost one is
    # another one to pgBackRest: it must not take the place of that among the backups by itself.
    code = subprocess.call([*command, "stanza-create"])
    if code and wanted == ANEW:
        code = subprocess.call([*command, "stanza-upgrade"])
    return code or subprocess.call([*command, "backup", f"--type={kind}"])


def known(command: list[str]) -> tuple[int, list[dict[str, Any]], str]:
    """Return the exit code of `pgbackrest info`, and what there is of the database that is there.

    That are its backups, and the piece of its log that was kept last.
    """
    info = subprocess.run([*command, "info", "--output=json"], capture_output=True, text=True)
    if info.returncode:
        print(info.stdout, info.stderr, file=sys.stderr)
        return info.returncode, [], ""
    found: dict[str, list[dict[str, Any]]] = {"backup": [], "archive": []}
    for one in json.loads(info.stdout):
        newest = max((each["id"] for each in one["db"]), default=0)
        for kind, of_all in found.items():
            of_all += [each for each in one.get(kind, []) if each["database"]["id"] == newest]
    latest = max((each["max"] or "" for each in found["archive"]), default="")
    return 0, found["backup"], latest


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
