#!/usr/bin/python3
"""Backs up the uploads by restic: `uploads_backup.py REPOSITORY PASSWORD-FILE VOLUME [ACTION ...]`.

Every storage server runs it, one at a time: whoever starts it holds a lock on the volume that has
the repository. Without an ACTION, it makes a snapshot if the last one is old enough. ACTIONs:

now                 make a snapshot in any case
check               read all that is kept, and compare it with its hashes; each week by itself
tell                say how old the last one is
list                print restic's snapshots, as JSON
missing SECONDS     bring back to the volume the files of the last snapshot before that time which
                    are not on it; those that are there stay as they are
into SECONDS DIR    put all files of that snapshot into a directory
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

# Where the volume is mounted meanwhile: restic finds the snapshot before by the path, too.
PLACE = "/mnt/uploads"
PAUSE, DAY = 9.5 * 60, 24 * 3600
WEEK = 7 * DAY
# Of the last day all snapshots, of two weeks one an hour.
POLICY = ("--keep-within", "1d", "--keep-within-hourly", "14d")
# Files are brought back one by one as long as they are so many, else all at once.
FEW = 100


class Repository:
    """The snapshots of the uploads."""

    def __init__(self, path: str, password_file: str, volume: str) -> None:
        self.path, self.volume = path, volume
        self.environment = {
            **os.environ,
            "RESTIC_REPOSITORY": path,
            "RESTIC_PASSWORD_FILE": password_file,
            "RESTIC_CACHE_DIR": "/var/cache/backup-uploads",
            # Users come first.
            "GOMAXPROCS": "1",
        }

    def restic(self, *words: str) -> str:
        """Run restic and return what it prints; raises CalledProcessError."""
        done = subprocess.run(
            ["restic", "--quiet", *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout

    def snapshot(self, *words: str) -> None:
        """Make a snapshot; raises CalledProcessError where something could not be read."""
        command = ["restic", "--quiet", "backup", *words]
        done = subprocess.run(command, env=self.environment, stderr=subprocess.PIPE, text=True)
        # restic, "Exit codes": it was made, without some files. Users remove some meanwhile.
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        gone = errors and all(line.endswith("no such file or directory") for line in errors)
        if done.returncode and not (done.returncode == 3 and gone):
            print(done.stderr, end="", file=sys.stderr)
            done.check_returncode()

    def snapshots(self) -> list[dict[str, Any]]:
        """Return the snapshots, the oldest first; `seconds` is the time of each."""
        if not os.path.exists(f"{self.path}/config"):
            return []
        found: list[dict[str, Any]] = json.loads(self.restic("snapshots", "--json", "--no-lock"))
        for each in found:
            each["seconds"] = seconds(each["time"])
        return sorted(found, key=lambda each: each["seconds"])

    def before(self, moment: float) -> str:
        """Return the last snapshot up to a time, "" when there is none."""
        found = [each["id"] for each in self.snapshots() if each["seconds"] <= moment]
        return found[-1] if found else ""

    @contextmanager
    def mounted(self, options: str) -> Iterator[str]:
        """Have the volume mounted, for the block."""
        os.makedirs(PLACE, exist_ok=True)
        if os.path.ismount(PLACE):
            # Somebody was killed here.
            subprocess.run(["umount", "-l", PLACE], check=True)
        source = f"localhost:/{self.volume}"
        subprocess.run(["mount", "-t", "glusterfs", "-o", options, source, PLACE], check=True)
        try:
            yield PLACE
        finally:
            subprocess.run(["umount", "-l", PLACE], check=True)

    def make(self) -> None:
        """Make a snapshot, and once a day remove those that are too old."""
        if not os.path.exists(f"{self.path}/config"):
            self.restic("init")
        # Nobody else works on it: of whoever died, locks are left.
        self.restic("unlock", "--remove-all")
        with self.mounted("ro") as place:
            self.snapshot("--host", self.volume, "--exclude", ".verify-*", place)
        Path(f"{self.path}.done").touch()
        if age(f"{self.path}.pruned") > DAY:
            self.restic("forget", "--host", self.volume, *POLICY, "--prune")
            Path(f"{self.path}.pruned").touch()
        if age(f"{self.path}.checked") > WEEK:
            self.check()

    def check(self) -> None:
        """Read all that is kept, and compare it with its hashes."""
        self.restic("check", "--read-data")
        Path(f"{self.path}.checked").touch()

    def bring_missing(self, moment: float) -> int:
        """Bring back files that are not on the volume; return how many they were."""
        snapshot = self.before(moment)
        if not snapshot:
            return 0
        with self.mounted("rw"):
            files = names(self.restic("ls", "--json", "--no-lock", snapshot))
            missing = [name for name in files if not os.path.lexists(name)]
            if missing and len(missing) == len(files):
                self.restic("restore", snapshot, "--target", "/")
                return len(missing)
            for start in range(0, len(missing), FEW):
                chosen = map(escaped, missing[start : start + FEW])
                options = [word for pattern in chosen for word in ("--include", pattern)]
                self.restic("restore", snapshot, "--target", "/", *options)
        return len(missing)

    def put_into(self, moment: float, directory: str) -> None:
        """Put the files of a snapshot into a directory, which must not be there yet."""
        snapshot, new = self.before(moment), f"{directory}.new"
        shutil.rmtree(new, ignore_errors=True)
        os.makedirs(f"{new}{PLACE}")
        if snapshot:
            self.restic("restore", snapshot, "--target", new)
        os.rename(f"{new}{PLACE}", directory)
        shutil.rmtree(new)


def escaped(name: str) -> str:
    """Return a pattern that stands for that name alone: filepath.Match of Go."""
    return "".join(f"\\{sign}" if sign in "*?[\\" else sign for sign in name)


def names(listing: str) -> list[str]:
    """Return the paths of the files that `restic ls --json` tells of."""
    entries = [json.loads(line) for line in listing.splitlines()]
    return [each["path"] for each in entries if each.get("type") == "file"]


def seconds(text: str) -> float:
    """Return the time that restic writes, to a nanosecond, as seconds of the epoch."""
    head, _, rest = text.partition(".")
    zone = rest.lstrip("0123456789") if rest else ""
    return datetime.fromisoformat((head + zone).replace("Z", "+00:00")).timestamp()


def age(path: str) -> float:
    """Return how old a file is, for ever when there is none."""
    with suppress(FileNotFoundError):
        return time.time() - os.stat(path).st_mtime
    return float("inf")


def main(path: str, password_file: str, volume: str, action: str = "", *given: str) -> int:
    """Do it; answer the exit code."""
    repository = Repository(path, password_file, volume)
    old = age(f"{path}.done")
    if action == "tell":
        print(
            f"backup of the uploads: {'none' if old == float('inf') else f'{old / 60:.0f} min ago'}"
        )
    elif action == "list":
        print(json.dumps(repository.snapshots()))
    elif action == "missing":
        print(f"{repository.bring_missing(float(given[0]))} uploads brought back")
    elif action == "check":
        repository.check()
        print(
            f"snapshots of the uploads that were read and are whole: {len(repository.snapshots())}"
        )
    elif action == "into":
        repository.put_into(float(given[0]), given[1])
    elif action == "now" or old > PAUSE:
        repository.make()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]} ended with exit code {error.returncode}")
