"""What a brick holds: an overview of all its files, or more of some directories or files."""

from __future__ import annotations

import hashlib
import heapq
import os
import time
from collections.abc import Iterator
from typing import TypedDict

START = 1 << 20  # of a file: that much of it is read

# Size and digest of the beginning; None for a file that is not there.
Content = tuple[int, str] | None


class Given(TypedDict):
    """Which brick is looked at, and how.

    With the same `seed`, every brick looks in the same order and at the same `sample` of files.
    An overview ends after so many `files` or `seconds`. `directories` asks for the sizes of the
    files in these instead, `paths` for the contents of these.
    """

    brick: str
    seed: str
    files: int
    seconds: float
    sample: int
    directories: list[str] | None
    paths: list[str] | None


class Overview(TypedDict):
    """A digest of names and sizes for each directory, and the contents of the sample.

    `whole` says that no directory was left out.
    """

    files: int
    whole: bool
    names: dict[str, str]
    sample: dict[str, Content]


def rank(seed: str, path: str) -> bytes:
    """Return what a path is sorted by: by chance, but the same on every brick."""
    return hashlib.md5((seed + path).encode(errors="replace")).digest()


def directories(brick: str) -> Iterator[str]:
    """Yield every directory that clients see, relative to the brick."""
    for directory, below, _ in os.walk(brick):
        if directory == brick:
            below[:] = [each for each in below if each != ".glusterfs"]
        yield os.path.relpath(directory, brick)


def listed(brick: str, directory: str) -> dict[str, int]:
    """Return path -> size of the files of one directory; none when it is gone."""
    found = {}
    try:
        for entry in os.scandir(os.path.join(brick, directory)):
            # What begins with a dot comes and goes: probes, and what is not complete yet.
            if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                found[os.path.join(directory, entry.name)] = entry.stat().st_size
    except OSError:
        pass
    return found


def content(brick: str, path: str) -> Content:
    """Return size and digest of a file."""
    try:
        with open(os.path.join(brick, path), "rb") as file:
            start = hashlib.sha256(file.read(START)).hexdigest()
            return os.fstat(file.fileno()).st_size, start
    except OSError:
        return None


def overview(given: Given) -> Overview:
    """Return what the brick holds, as much of it as there is time for."""
    brick, end = given["brick"], time.monotonic() + given["seconds"]

    def by_chance(path: str) -> bytes:
        return rank(given["seed"], path)

    names: dict[str, str] = {}
    sample: list[str] = []
    count, whole = 0, True
    for directory in sorted(directories(brick), key=by_chance):
        if count > given["files"] or time.monotonic() > end:
            whole = False
            break
        found = listed(brick, directory)
        count += len(found)
        said = repr(sorted(found.items())).encode(errors="replace")
        names[directory] = hashlib.sha256(said).hexdigest()
        sample = heapq.nsmallest(given["sample"], [*sample, *found], key=by_chance)
    contents = {path: content(brick, path) for path in sample}
    return {"files": count, "whole": whole, "names": names, "sample": contents}


def main(given: Given) -> Overview | dict[str, int] | dict[str, Content]:
    """Return an overview, or what is asked for instead of it."""
    brick = given["brick"]
    if given["directories"] is not None:
        found = [listed(brick, directory) for directory in given["directories"]]
        return {path: size for each in found for path, size in each.items()}
    if given["paths"] is not None:
        return {path: content(brick, path) for path in given["paths"]}
    return overview(given)
