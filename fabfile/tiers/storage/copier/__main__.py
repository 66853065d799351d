"""Copies the backups to the second place: `python3 -m copier CONFIG ROOT MOUNT [ACTION]`.

Every storage server runs it, one at a time: whoever starts it holds a lock on the volume that is
mounted there. Without an ACTION, it copies if the last time is long enough ago. ACTIONs:

now     copy in any case
take    copy also where the second place has backups that these do not follow; those are set aside
tell    say how old the last copy is
fetch   bring the repositories back from the second place to a volume that has none
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from .copies import Copies, locked
from .place import Failed
from .steps import KINDS

PAUSE = 9.5 * 60


def told(known: dict[str, Any], now: float) -> str:
    """Return how old the last copy is, and what has failed since."""
    last = f"{(now - known['done']) / 60:.0f} min ago" if known.get("done") else "none"
    return f"{last}; failed: {known['why']}" if known.get("why") else last


def main(config: str, root: str, mount: str, action: str = "") -> int:
    """Do it; answer the exit code."""
    copies = Copies(config, root, mount)
    if not os.path.ismount(mount):
        raise Failed(f"{mount} is not mounted")
    if action == "tell":
        print(f"copy in the second place: {told(copies.told(), time.time())}")
        return 0
    if action == "fetch":
        for kind in KINDS:
            os.makedirs(f"{mount}/{kind.name}", exist_ok=True)
        # The mark of the first, which comes last, says that all are there.
        for kind in reversed(KINDS):
            with locked(f"{mount}/{kind.lock}"):
                copies.fetch(kind)
    elif action or time.time() - (copies.told().get("done") or 0) > PAUSE:
        copies.make(take=action == "take")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except Failed as failure:
        sys.exit(f"the second place: {failure}")
