"""Files of a snapshot brought back to the volume, or to a place beside it."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import Any

from .restic import BRINGING, PLACE, Failed, Repository

# Where the volume is mounted meanwhile: snapshots are made at the same time.
TARGET = "/mnt/uploads-brought"
# So many files are brought back at a time.
MANY = 1000
# What stays free where snapshots are, which is where a person looks at one.
SPARE = 1 << 30


def bring_missing(repository: Repository, moment: float) -> int:
    """Bring back files that are not on the volume; return how many they were."""
    with repository.kept():
        snapshot = repository.before(moment)
        if not snapshot:
            return 0
        nodes = {each["path"]: each for each in repository.nodes(snapshot)}
        with repository.mounted(TARGET, "rw") as place:
            missing = [
                path
                for path, node in nodes.items()
                if node["type"] in ("file", "symlink") and not os.path.lexists(_at(place, path))
            ]
            _check_room(place, [nodes[path] for path in missing])
            for start in range(0, len(missing), MANY):
                _bring(repository, snapshot, place, missing[start : start + MANY], nodes)
    return len(missing)


def _bring(
    repository: Repository,
    snapshot: str,
    place: str,
    paths: list[str],
    nodes: dict[str, dict[str, Any]],
) -> None:
    # What a killed one leaves there is torn, and nowhere else: each gets its name when it is whole.
    aside = f"{place}/{BRINGING}"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        chosen = [word for path in paths for word in ("--include", escaped(path))]
        repository.restic("restore", snapshot, "--no-lock", "--target", aside, *chosen)
        for path in paths:
            _make_directory(place, os.path.dirname(path), nodes)
            # Somebody may have made it meanwhile.
            with suppress(FileExistsError):
                os.link(f"{aside}{path}", _at(place, path), follow_symlinks=False)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _at(place: str, path: str) -> str:
    """Return where a path of a snapshot is on the volume, which is mounted at a place."""
    return f"{place}{path.removeprefix(PLACE)}"


def _make_directory(place: str, path: str, nodes: dict[str, dict[str, Any]]) -> None:
    """Make a directory, and those above it, with the rights it had; what is there stays."""
    if path not in nodes or os.path.lexists(_at(place, path)):
        return
    _make_directory(place, os.path.dirname(path), nodes)
    there, node = _at(place, path), nodes[path]
    with suppress(FileExistsError):
        os.mkdir(there, 0o700)
        os.chown(there, node["uid"], node["gid"])
        os.chmod(there, node["mode"] & 0o777)


def escaped(name: str) -> str:
    """Return a pattern that stands for that name alone: filepath.Match of Go."""
    return "".join(f"\\{sign}" if sign in "*?[\\" else sign for sign in name)


def put_into(repository: Repository, moment: float, directory: str) -> None:
    """Put the files of a snapshot into a directory, which must not be there yet."""
    new = f"{directory}.new"
    shutil.rmtree(new, ignore_errors=True)
    with repository.kept():
        check_room(repository, moment, directory)
        snapshot = repository.before(moment)
        os.makedirs(f"{new}{PLACE}")
        if snapshot:
            repository.restic("restore", snapshot, "--no-lock", "--target", new)
    os.rename(f"{new}{PLACE}", directory)
    shutil.rmtree(new)


def check_room(repository: Repository, moment: float, directory: str) -> None:
    """Raise Failed where there is no room for the files of a snapshot."""
    snapshot = repository.before(moment)
    nodes = repository.nodes(snapshot) if snapshot else []
    _check_room(os.path.dirname(directory), nodes, SPARE)


def _check_room(place: str, nodes: list[dict[str, Any]], spare: int = 0) -> None:
    size = sum(each.get("size", 0) for each in nodes)
    free = max(0, shutil.disk_usage(place).free - spare)
    if size > free:
        raise Failed(f"the uploads have {size >> 20} MiB, and {free >> 20} MiB are free for them")
