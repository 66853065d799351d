"""What is copied of a repository, in which order, and when not: pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# In the second place: what there is, and what was set aside for so long.
CURRENT, ASIDE, DAYS = "current", "old", 14
CLAIM, MARK = "claim-", "second-place"


@dataclass(frozen=True)
class Kind:
    """A repository: its directory, its lock, the file without which it is none, and its order.

    `rank` tells what comes later of two files: a copy that is cut in between has nothing that
    refers to what is missing. What is removed goes the other way.
    """

    name: str
    lock: str
    head: str
    rank: Callable[[str], int]
    mutable: Callable[[str], bool]


def _rank_of_database(path: str) -> int:
    # pgBackRest reads the copy where the first one is missing or torn.
    return 2 if path.endswith(".info") else 1 if path.endswith(".info.copy") else 0


def _rank_of_uploads(path: str) -> int:
    # restic, "Repository layout": snapshots refer to the index, and that to data.
    return {"snapshots": 2, "index": 1}.get(path.split("/")[0], 0)


KINDS = (
    Kind(
        "postgresql",
        "postgresql/database.lock",
        "archive/main/archive.info",
        _rank_of_database,
        lambda path: _rank_of_database(path) > 0,
    ),
    Kind("uploads", "postgresql/uploads.lock", "config", _rank_of_uploads, lambda path: False),
)


def is_whole(path: str, all_paths: dict[str, int]) -> bool:
    """Return whether a file of a repository is to be copied: what nobody is still making."""
    first, *rest = path.split("/")
    if first.startswith((MARK, CLAIM, "locks")) or path.endswith((".lock", ".pgbackrest.tmp")):
        return False
    if "-tmp-" in path:
        return False
    # Of a backup that was cut, there is only the copy.
    made = first == "backup" and len(rest) > 2 and not rest[1].startswith("backup.history")
    return not made or f"backup/{rest[0]}/{rest[1]}/backup.manifest" in all_paths


def steps(kind: Kind, here: dict[str, int], there: dict[str, int]) -> list[tuple[str, list[str]]]:
    """Return what to do, in order: "copy" or "remove", each with the paths.

    `here` and `there` are path -> size.
    """
    copied: dict[int, list[str]] = {}
    for path, size in sorted(here.items()):
        if there.get(path) != size or kind.mutable(path):
            copied.setdefault(kind.rank(path), []).append(path)
    removed: dict[int, list[str]] = {}
    for path in sorted(there.keys() - here.keys()):
        removed.setdefault(kind.rank(path), []).append(path)
    return [
        *(("copy", copied[rank]) for rank in sorted(copied)),
        *(("remove", removed[rank]) for rank in sorted(removed, reverse=True)),
    ]


def refusal(kind: Kind, known: set[str], claims: set[str], there: dict[str, int]) -> str:
    """Return why a repository must not be copied there, "" when it may."""
    if claims and claims <= known:
        return ""
    if not claims and not there:
        return ""
    what = "backups that these do not follow" if claims else "files that are none of these"
    return (
        f"it has {what}, in {CURRENT}/{kind.name}: 'invoke backup.restore --from-second-place' "
        "brings them to storage servers that have none; 'invoke backup.now --take-second-place' "
        f"sets them aside there for {DAYS} days"
    )


def labels(paths: dict[str, int]) -> list[str]:
    """Return the directories of pgBackRest's backups, the latest last."""
    found = {path.split("/")[2] for path in paths if path.endswith("/backup.manifest")}
    return sorted(found, key=lambda label: label.split("_")[-1])
