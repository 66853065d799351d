"""What each machine runs, as it said when it was last looked at; kept on this computer.

It saves a second look. Whoever is wrong is found out by the first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

FILE = "systems.json"


def read(state: Path) -> dict[str, str]:
    """Return machine name -> system, as "debian 12"; nothing is known without the file."""
    try:
        noted = json.loads((state / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return {str(name): str(system) for name, system in noted.items()}


def note(state: Path, systems: Mapping[str, str]) -> None:
    """Keep what the machines have said, if that is news."""
    if systems != read(state):
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = state / f"{FILE}.new"
        new.write_text(json.dumps(systems, indent=2))
        new.replace(state / FILE)
