"""Backs up the uploads by restic: `python3 -m snapshots REPOSITORY PASSWORD-FILE VOLUME [ACTION]`.

Every storage server runs it. One at a time makes snapshots, one reads all, and one brings back: who
starts it holds a lock for that on the volume that has the repository. Without an ACTION, it makes a
snapshot if the last one is old enough. ACTIONs:

now                 make a snapshot in any case
read                read all that is kept and compare it with its hashes, if it was not for a week
check               do so in any case
tell                say how old the last snapshot is, and whether damage was found
list                print restic's snapshots, as JSON
missing SECONDS     bring back to the volume the files of the last snapshot before that time which
                    are not on it; those that are there stay as they are
into SECONDS DIR    put all files of that snapshot into a directory
room SECONDS DIR    fail where there is no room for that
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

from .bringing import bring_missing, check_room, put_into
from .restic import Failed, Repository, age

PAUSE = 9.5 * 60


def told(old: float, when: float, code: str, said: str) -> str:
    """Return how old the last snapshot is, and what was found when all were read last."""
    last = "none" if old == float("inf") else f"{old / 60:.0f} min ago"
    if code in ("", "0"):
        return last
    hours = max(0, time.time() - when) / 3600
    return f"{last}; DAMAGED, or unreadable, {hours:.0f} h ago: {said}"


def main(path: str, password_file: str, volume: str, action: str = "", *given: str) -> int:
    """Do it; answer the exit code."""
    repository = Repository(path, password_file, volume)
    old = age(f"{path}.done")
    if action == "tell":
        print(f"backup of the uploads: {told(old, *repository.read())}")
    elif action == "list":
        print(json.dumps(repository.snapshots()))
    elif action == "missing":
        print(f"{bring_missing(repository, float(given[0]))} uploads brought back")
    elif action == "read":
        if repository.is_to_be_read():
            repository.check()
    elif action == "check":
        repository.check()
        count = len(repository.snapshots())
        print(f"snapshots of the uploads that were read and are whole: {count}")
    elif action == "into":
        put_into(repository, float(given[0]), given[1])
    elif action == "room":
        check_room(repository, float(given[0]), given[1])
    elif action == "now" or old > PAUSE:
        repository.make()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except Failed as failure:
        sys.exit(str(failure))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]} ended with exit code {error.returncode}")
