"""Since when this computer knows that an application's database has been there.

Kept in `databases.json` in the scenario's state directory, so that a database that is gone is not
taken for one that has never been. Standard library only.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path


def known_since(state: Path, application: str) -> str:
    """Return when the database was first seen, as ISO 8601 in UTC; "" when it never was."""
    return str(_read(state).get(application, ""))


def note(state: Path, application: str) -> None:
    """Note that the database is there, unless that is known."""
    known = _read(state)
    if application not in known:
        known[application] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = _file(state).with_suffix(".new")
        new.write_text(json.dumps(known, indent=2) + "\n")
        new.replace(_file(state))


def forget(state: Path) -> None:
    """Forget all of them, as when every machine is a new one."""
    _file(state).unlink(missing_ok=True)


def _file(state: Path) -> Path:
    return state / "databases.json"


def _read(state: Path) -> dict[str, str]:
    try:
        found = json.loads(_file(state).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
