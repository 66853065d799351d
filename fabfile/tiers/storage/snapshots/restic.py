"""The repository of restic, which has the snapshots of the uploads."""

from __future__ import annotations

import fcntl
import json
import os
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
# Below the root of the volume: files that are being brought back.
BRINGING = ".bringing"
DAY = 24 * 3600
WEEK = 7 * DAY
# Of the last day all snapshots, of two weeks one an hour.
POLICY = ("--keep-within", "1d", "--keep-within-hourly", "14d")


class Failed(Exception):
    """Why it cannot be done, as one sentence."""


class Repository:
    """The snapshots of the uploads.

    restic's own locks stand for nothing: of whoever died, they are left. In their place, who reads
    snapshots holds a lock that none of them is removed.
    """

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
    def kept(self) -> Iterator[None]:
        """Have no snapshot removed, for the block."""
        with locked(f"{self.path}.kept", fcntl.LOCK_SH):
            yield

    @contextmanager
    def mounted(self, place: str, options: str) -> Iterator[str]:
        """Have the volume mounted at a place, for the block."""
        os.makedirs(place, exist_ok=True)
        if os.path.ismount(place):
            # Somebody was killed here.
            subprocess.run(["umount", "-l", place], check=True)
        source = f"localhost:/{self.volume}"
        subprocess.run(["mount", "-t", "glusterfs", "-o", options, source, place], check=True)
        try:
            yield place
        finally:
            subprocess.run(["umount", "-l", place], check=True)

    def make(self) -> None:
        """Make a snapshot, and once a day remove those that are too old."""
        if not os.path.exists(f"{self.path}/config"):
            self.restic("init")
        self.restic("unlock", "--remove-all")
        with self.mounted(PLACE, "ro") as place:
            own = ("--exclude", ".verify-*", "--exclude", f"{place}/{BRINGING}")
            self.snapshot("--host", self.volume, *own, place)
        Path(f"{self.path}.done").touch()
        if age(f"{self.path}.pruned") > DAY:
            # Where somebody reads, it is done at a later turn.
            with suppress(BlockingIOError), locked(f"{self.path}.kept", fcntl.LOCK_EX):
                self.restic("forget", "--host", self.volume, *POLICY, "--prune")
                Path(f"{self.path}.pruned").touch()

    def read(self) -> tuple[float, str, str]:
        """Return when all was read last, the exit code of that, and what was said of damage."""
        with suppress(FileNotFoundError):
            when, code, said = (
                *Path(f"{self.path}.checked").read_text().split(" ", 2),
                "",
                "",
                "",
            )[:3]
            return float(when or 0), code, said.strip()
        return 0, "", ""

    def is_to_be_read(self) -> bool:
        """Tell whether it is time: after a week, or a day behind a reading that failed."""
        when, code, _ = self.read()
        there = os.path.exists(f"{self.path}/config")
        return there and time.time() - when > (WEEK if code == "0" else DAY)

    def check(self) -> None:
        """Read all that is kept, and note how that ended; raises Failed if something is wrong."""
        with self.kept():
            command = ["restic", "--quiet", "check", "--read-data", "--no-lock"]
            done = subprocess.run(command, env=self.environment, stderr=subprocess.PIPE, text=True)
        print(done.stderr, end="", file=sys.stderr)
        if done.returncode < 0:
            raise Failed("the reading of the snapshots was ended")
        said = " ".join(" ".join(done.stderr.strip().splitlines()[:2]).split())
        note = Path(f"{self.path}.checked")
        new = note.with_suffix(".new")
        new.write_text(
            f"{time.time():.0f} {done.returncode} {said[:300] if done.returncode else ''}\n"
        )
        new.rename(note)
        if done.returncode:
            raise Failed("the snapshots of the uploads are damaged, or could not be read")

    def nodes(self, snapshot: str) -> list[dict[str, Any]]:
        """Return what there is in a snapshot, directories before what is in them."""
        listing = self.restic("ls", "--json", "--no-lock", snapshot)
        entries = [json.loads(line) for line in listing.splitlines()]
        return sorted((each for each in entries if "type" in each), key=lambda each: each["path"])


@contextmanager
def locked(path: str, how: int) -> Iterator[None]:
    """Hold a lock on the volume, for the block.

    A shared one is waited for; raises BlockingIOError at once where another one cannot be had.
    """
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if how != fcntl.LOCK_SH:
                raise
            print("waiting for snapshots that are too old to be removed", flush=True)
            fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


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
