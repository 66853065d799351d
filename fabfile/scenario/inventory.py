"""Which app servers were added, removed or put in maintenance since config.py was written.

config.py is a person's and no program writes it. What `add-server`, `remove-server`, `scale` and
`maintenance` decide is kept in `inventory.json` in the scenario's state directory, and every task
reads both. Standard library only: it is read before anything is installed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

KEYS = {"added": dict, "removed": list, "maintenance": list}


class InventoryError(Exception):
    """What is wrong with an inventory file, as one sentence."""


@dataclass(frozen=True)
class Inventory:
    """What differs from config.py: entries as in MACHINES, and names of its app servers."""

    added: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    maintenance: tuple[str, ...] = ()

    def adding(self, name: str, entry: Mapping[str, Any] | None) -> Inventory:
        """Return the inventory with that server; entry None brings back one of config.py."""
        removed = tuple(other for other in self.removed if other != name)
        added = self.added if entry is None else {**self.added, name: dict(entry)}
        return replace(self, added=added, removed=removed)

    def removing(self, name: str) -> Inventory:
        """Return the inventory without that server, wherever it was written down."""
        return Inventory(
            {other: entry for other, entry in self.added.items() if other != name},
            tuple(sorted({*self.removed, name} - self.added.keys())),
            tuple(other for other in self.maintenance if other != name),
        )

    def maintaining(self, name: str, on: bool) -> Inventory:
        """Return the inventory with that server in maintenance, or out of it."""
        others = {*self.maintenance} - {name}
        return replace(self, maintenance=tuple(sorted(others | ({name} if on else set()))))

    def merged(self, machines: Mapping[str, Any]) -> dict[str, Any]:
        """Return the entries of MACHINES as they are now.

        Raises InventoryError when config.py has come to say something else of an added server.
        """
        for name, entry in self.added.items():
            if name in machines and machines[name] != entry:
                raise InventoryError(
                    f"{name} was added as {dict(entry)}, but MACHINES[{name!r}] says otherwise; "
                    "remove one of the two"
                )
        kept = {name: entry for name, entry in machines.items() if name not in self.removed}
        return {**kept, **{name: dict(entry) for name, entry in self.added.items()}}


def read(path: Path) -> Inventory:
    """Return what the file says, an empty inventory when there is none.

    Raises InventoryError when it cannot be understood.
    """
    try:
        given = json.loads(path.read_text())
    except FileNotFoundError:
        return Inventory()
    except (OSError, ValueError) as error:
        raise InventoryError(_broken(f"it cannot be read: {error}")) from None
    return parsed(given)


def parsed(given: Any) -> Inventory:
    """Return the inventory that JSON's values describe; raises InventoryError."""
    if not isinstance(given, dict) or given.keys() - KEYS.keys():
        raise InventoryError(_broken(f"it must be an object with {', '.join(KEYS)}"))
    for key, kind in KEYS.items():
        names = given.get(key, kind())
        if not isinstance(names, kind) or not all(isinstance(name, str) for name in names):
            raise InventoryError(_broken(f"{key!r} is {names!r}"))
    for name, entry in given.get("added", {}).items():
        if not isinstance(entry, dict) or entry.get("tier") != "app":
            raise InventoryError(_broken(f"the added {name!r} is no app server's entry: {entry!r}"))
    return Inventory(
        given.get("added", {}), *(tuple(given.get(key, ())) for key in ("removed", "maintenance"))
    )


def write(path: Path, inventory: Inventory) -> None:
    """Replace the file in one step: whoever reads it sees the old or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with new.open("w") as file:
        json.dump(asdict(inventory), file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _broken(what: str) -> str:
    return f"{what}; repair it, or move it away and add the servers again"
