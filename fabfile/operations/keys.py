"""The key to the backups, written for a person to keep elsewhere, and used on another computer."""

from __future__ import annotations

from pathlib import Path

from fabfile.operations.progress import console
from fabfile.operations.session import refuse, scenario
from fabfile.scenario import Scenario, keys
from fabfile.tiers.storage import repository


def key(to: str, given: str) -> None:
    """Write the key to a file, or use the one in a file; raises Exit when that cannot be."""
    wanted = scenario()
    if bool(to) == bool(given):
        raise refuse("Say where to write it, backup.key --to FILE, or which to use, --from FILE.")
    try:
        if to:
            keys.write(wanted.state, wanted.name, Path(to).expanduser())
        else:
            keys.use(wanted.state, wanted.name, Path(given).expanduser())
    except keys.BadKey as error:
        raise refuse(f"{error}.") from None
    if to:
        console.print(
            f"{to} opens the backups of {wanted.name}, and is root to its users: keep it where "
            "only you get at it, and not with this computer",
            markup=False,
        )
    else:
        console.print(f"this computer has the key to the backups of {wanted.name}", markup=False)


def warning(wanted: Scenario) -> str:
    """Return what `status` says as long as nobody has exported the key, else ""."""
    if not wanted.tier("storage") or keys.is_exported(wanted.state):
        return ""
    name = repository.MOUNT
    return (
        f"the backups in {name} open with a key that only this computer has: "
        "'invoke backup.key --to FILE' exports it, to be kept elsewhere"
    )
