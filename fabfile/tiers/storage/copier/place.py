"""The second place, as rclone shows it."""

from __future__ import annotations

import calendar
import os
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from .steps import ASIDE, CURRENT, DAYS

STAMP = "%Y%m%dT%H%M%SZ"
DATED = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ", re.M)
# rclone, "List of exit codes": no such directory, no such file.
NOTHING = (3, 4)
# It asks for whichever kind of key it likes best, and not for those that are known.
MISMATCH = "knownhosts: key mismatch"
HINT = " (known_hosts must have each kind of key that the host has: 'ssh-keyscan' prints them)"
# Who need not find any.
LENIENT = ("lsf", "deletefile", "rmdirs")


class Failed(Exception):
    """Why there is no copy, as one sentence."""


class Place:
    """The second place, by rclone."""

    def __init__(self, config: str, root: str) -> None:
        self.config, self.root = config, f"second:{root}"

    def rclone(self, *words: str, paths: list[str] | None = None, given: str = "") -> str:
        """Run rclone and return what it prints, "" when there is no such thing; raises Failed.

        `paths` are those that it is about.
        """
        options = ["--config", self.config, "--log-level", "ERROR", "--retries", "1"]
        options += ["--low-level-retries", "3", "--contimeout", "15s", "--timeout", "60s"]
        options += ["--transfers", "2", "--checkers", "2", "--buffer-size", "4M"]
        if paths is not None:
            options += ["--files-from-raw", "-", "--no-traverse"]
            given = "".join(f"{path}\n" for path in paths)
        done = subprocess.run(
            ["rclone", *words, *options],
            input=given,
            capture_output=True,
            text=True,
            # Users come first. Nothing else that is set here is meant for it.
            env={"PATH": os.environ["PATH"], "HOME": "/", "GOMAXPROCS": "1"},
        )
        if done.returncode in NOTHING and words[0] in LENIENT:
            return ""
        if done.returncode:
            raise Failed(self._said(done.stderr) or f"rclone ended with {done.returncode}")
        return done.stdout

    def _said(self, text: str) -> str:
        """Return the last of rclone's errors, without its time, and without secrets."""
        # It may have several lines.
        last = " ".join(DATED.split(text)[-1].split())
        for line in Path(self.config).read_text().splitlines():
            name, _, value = line.partition(" = ")
            if name.endswith(("key_id", "access_key")):
                last = last.replace(value, "********")
        return last + HINT if MISMATCH in last else last

    def at(self, *words: str) -> str:
        """Return what is at a path below the root, as rclone takes it."""
        return "/".join([self.root, *words])

    def files(self, name: str) -> dict[str, int]:
        """Return path -> size of what there is of a repository."""
        listed = self.rclone("lsf", "-R", "--files-only", "--format", "ps", self.at(CURRENT, name))
        found = (line.rpartition(";") for line in listed.splitlines())
        return {path: int(size) for path, _, size in found}

    def forget(self, now: float) -> None:
        """Remove what was set aside long ago."""
        for name in self.rclone("lsf", "--dirs-only", self.at(ASIDE)).splitlines():
            with suppress(ValueError):
                made = time.strptime(name.rstrip("/"), STAMP)
                if now - calendar.timegm(made) > DAYS * 24 * 3600:
                    self.rclone("purge", self.at(ASIDE, name.rstrip("/")))
