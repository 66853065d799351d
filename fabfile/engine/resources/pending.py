"""Marks on a machine for changes that follow from others, such as a restart.

A run that is killed after it wrote a file and before it restarted the service leaves the file
right and the service old. So the mark is set before the first change and removed after the last.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

DIRECTORY = "/var/lib/crm-deployer/pending"


def mark(name: str) -> str:
    """Return the path of the mark for a change of that name."""
    return f"{DIRECTORY}/{re.sub(r'[^A-Za-z0-9_.@-]+', '-', name)}"


def print_pending(name: str, word: str = "pending") -> str:
    """Return shell that prints the word when the mark is there."""
    return f"[ ! -e {shlex.quote(mark(name))} ] || echo {word}"


def is_pending(facts: Iterable[str]) -> bool:
    """Tell whether the facts hold what `print_pending` prints of itself."""
    return "pending" in facts
