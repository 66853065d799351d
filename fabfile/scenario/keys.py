"""The key to the backups: all of this computer that a restore on another one needs, as one file.

Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

# Passwords, certificates and which servers there are: with them, another clone deploys the same.
# Since when there have been databases is one of them: none is taken for a new one.
PARTS = (
    "secrets.json",
    "authority.json",
    "inventory.json",
    "second-place.json",
    "databases.json",
)
NOTE = "key.json"
# Those without which a key that was written earlier is not enough.
OWN = ("secrets.json", "second-place.json", "databases.json")


class BadKey(Exception):
    """Why a key can be neither written nor used, as one sentence."""


def write(state: Path, scenario: str, file: Path) -> None:
    """Write the key to a new file, for the person alone; raises BadKey."""
    text = json.dumps({"scenario": scenario, "files": _parts(state)}, indent=2)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BadKey(f"{file} is there already, and is not replaced") from None
    except OSError as error:
        raise BadKey(f"{file} cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "w") as opened:
        opened.write(text)
    _replace(state / NOTE, json.dumps({"exported": _digest(state), "to": str(file)}))


def use(state: Path, scenario: str, file: Path) -> None:
    """Put what a key holds into a state directory that has nothing else; raises BadKey."""
    try:
        key: dict[str, Any] = json.loads(file.read_text())
        of, files = str(key["scenario"]), dict(key["files"])
        parts = {name: str(files[name]) for name in PARTS if name in files}
        json.loads(parts[PARTS[0]])
    except OSError as error:
        raise BadKey(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise BadKey(f"{file} is no key of backup.key") from None
    if of != scenario:
        raise BadKey(f"{file} is the key of {of}, and config.py describes {scenario}")
    for name, text in parts.items():
        if (state / name).exists() and (state / name).read_text() != text:
            raise BadKey(f"{state / name} says something else: move it away first")
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in parts.items():
        _replace(state / name, text)
    _replace(state / NOTE, json.dumps({"exported": _digest(state), "to": str(file)}))


def is_exported(state: Path) -> bool:
    """Return whether the key was written as it is now: passwords may have come since."""
    try:
        return bool(json.loads((state / NOTE).read_text())["exported"] == _digest(state))
    except (OSError, ValueError, KeyError):
        return False


def _parts(state: Path) -> dict[str, str]:
    return {name: (state / name).read_text() for name in PARTS if (state / name).exists()}


def _digest(state: Path) -> str:
    """Return what tells one set of passwords, and databases, from another; servers come and go."""
    parts = _parts(state)
    text = "".join(parts.get(name, "") for name in OWN)
    return hashlib.sha256(f"key of {text}".encode()).hexdigest()


def _replace(file: Path, text: str) -> None:
    new = file.with_name(f"{file.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(text)
    new.replace(file)
