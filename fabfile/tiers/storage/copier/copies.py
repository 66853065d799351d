"""The repositories on the volume of the backups, copied to the second place and back."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .place import STAMP, Failed, Place
from .steps import ASIDE, CLAIM, CURRENT, KINDS, MARK, Kind, is_whole, labels, refusal, steps

# On the volume: when the last copy was made, and what failed after it.
STATE = f"{MARK}.json"
# How long pgBackRest or restic may be at work meanwhile.
PATIENCE = 600


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Hold a lock of the volume, for the block; raises Failed when others have it for long."""
    there = os.stat(os.path.dirname(path))
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o640)
    end = time.monotonic() + PATIENCE
    try:
        if os.fstat(descriptor).st_uid != there.st_uid and os.geteuid() == 0:
            # Its owner comes, too.
            os.fchown(descriptor, there.st_uid, there.st_gid)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise Failed(f"waited {PATIENCE} s for {path}") from None
                time.sleep(1)
        yield
    finally:
        os.close(descriptor)


class Copies:
    """The repositories on the volume, and their copies in the second place."""

    def __init__(self, config: str, root: str, mount: str) -> None:
        self.place, self.mount = Place(config, root), mount
        self.state = f"{mount}/{STATE}"
        self.stamp = time.strftime(STAMP, time.gmtime())

    def told(self) -> dict[str, Any]:
        """Return when the last copy was made, "done", and what failed after it, "why"."""
        with suppress(OSError, ValueError):
            found = json.loads(Path(self.state).read_text())
            if isinstance(found, dict):
                return found
        return {}

    def note(self, **news: object) -> None:
        """Keep what `told` returns."""
        _write(self.state, json.dumps(news))

    def here(self, kind: Kind) -> dict[str, int]:
        """Return path -> size of a repository's files, as far as they are to be copied."""
        found, top = {}, f"{self.mount}/{kind.name}"
        for directory, _, names in os.walk(top):
            for name in names:
                path = f"{directory}/{name}"
                # It may be gone meanwhile.
                with suppress(FileNotFoundError):
                    seen = os.lstat(path)
                    if stat.S_ISREG(seen.st_mode):
                        found[path[len(top) + 1 :]] = seen.st_size
        return {path: size for path, size in found.items() if is_whole(path, found)}

    def copy(self, kind: Kind, take: bool) -> None:
        """Copy a repository, if there is one; raises Failed."""
        mark = f"{self.mount}/{kind.name}/{MARK}"
        here, there, claims = self.here(kind), *self._there(kind)
        known = {*Path(mark).read_text().split()} if os.path.exists(mark) else set()
        if why := refusal(kind, known, claims, there):
            if not take:
                raise Failed(why)
            self.place.rclone(
                "move",
                self.place.at(CURRENT, kind.name),
                self.place.at(ASIDE, self.stamp, kind.name),
            )
            there, claims = {}, set()
        if kind.head not in here:
            if there:
                raise Failed(f"there is no repository in {self.mount}/{kind.name} any more")
            return
        claim = f"{CLAIM}{secrets.token_hex(16)}"
        # Whatever of this is the last that is done, one of those that are known is there.
        _write(mark, "\n".join([*claims, claim]))
        self.place.rclone("rcat", self.place.at(CURRENT, kind.name, claim), given=self.stamp)
        for old in claims:
            self.place.rclone("deletefile", self.place.at(CURRENT, kind.name, old))
        _write(mark, claim)
        for what, paths in steps(kind, here, there):
            self._do(kind, what, paths)

    def _there(self, kind: Kind) -> tuple[dict[str, int], set[str]]:
        found = self.place.files(kind.name)
        claims = {path for path in found if path.startswith(CLAIM)}
        return {path: size for path, size in found.items() if path not in claims}, claims

    def _do(self, kind: Kind, what: str, paths: list[str]) -> None:
        current = self.place.at(CURRENT, kind.name)
        aside = self.place.at(ASIDE, self.stamp, kind.name)
        if what == "copy":
            here = f"{self.mount}/{kind.name}"
            self.place.rclone("copy", here, current, "--backup-dir", aside, paths=paths)
        else:
            self.place.rclone("move", current, aside, paths=paths)
            self.place.rclone("rmdirs", "--leave-root", current)

    def make(self, take: bool = False) -> None:
        """Copy all repositories, and note how that ended; raises Failed."""
        begun = time.time()
        before = self.told()
        try:
            for kind in KINDS:
                if os.path.isdir(f"{self.mount}/{kind.name}"):
                    with locked(f"{self.mount}/{kind.lock}"):
                        self.copy(kind, take)
            self.place.forget(begun)
        except (Failed, OSError) as failure:
            self.note(done=before.get("done"), failed=begun, why=str(failure))
            raise Failed(str(failure)) from None
        self.note(done=begun)

    def fetch(self, kind: Kind) -> None:
        """Bring a repository back from the second place; raises Failed."""
        top = f"{self.mount}/{kind.name}"
        mark, half = f"{top}/{MARK}", f"{top}/{MARK}.half"
        os.makedirs(top, exist_ok=True)
        if os.path.exists(mark):
            return
        if self.here(kind) and not os.path.exists(half):
            raise Failed(
                f"{top} has backups of its own, and the two must not mix: move them elsewhere on "
                "the volume if nobody needs them"
            )
        there, claims = self._there(kind)
        if kind.head not in there or not claims:
            if kind is KINDS[0]:
                raise Failed("it has no backups of a database")
            return
        Path(half).touch()
        current = self.place.at(CURRENT, kind.name)
        self.place.rclone("copy", current, top, "--exclude", f"{CLAIM}*")
        if kind is KINDS[0]:
            latest, link = labels(there)[-1:], f"{top}/backup/main/latest"
            if latest and not os.path.lexists(link):
                os.symlink(latest[0], link)
        owner = os.stat(top)
        for directory, names, files in os.walk(top):
            for name in (*names, *files):
                os.lchown(f"{directory}/{name}", owner.st_uid, owner.st_gid)
        _write(mark, "\n".join(claims))
        os.unlink(half)


def _write(path: str, text: str) -> None:
    """Write a file in one step, and have it on the disks before anything else."""
    with open(f"{path}.new", "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.new", path)
