"""The tiers: a package each, which holds all that is known of it. This is their registry.

A package's `__init__` holds its `TIER`. Its other rooms are found by their names: `state` (what its
machines must have, and `view`, what `status` shows), `checks` (what `verify` looks at), `tasks`,
`host` (what every machine has that no firewall guards), `retire.sh` (what takes it off a machine).
Standard library only, as long as no room is entered.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from fabfile.tiers.tier import Tier, View

if TYPE_CHECKING:
    from fabfile.scenario import Machine, Scenario


def registered(directory: Path) -> dict[str, Tier]:
    """Return name -> tier of all packages in a directory of this package, users first."""
    names = sorted(each.parent.name for each in directory.glob("*/__init__.py"))
    found = [import_module(f"{__name__}.{name}").TIER for name in names]
    return {tier.name: tier for tier in sorted(found, key=lambda tier: tier.row)}


TIERS = registered(Path(__file__).parent)


def views_of(scenario: Scenario, machine: Machine) -> list[View]:
    """Return what there is to see of a machine: for each of its tiers, and of its own rules."""
    rooms = [(tier, TIERS[tier].room("state")) for tier in machine.tiers]
    if machine in scenario.guarded:
        rooms += [("", tier.room("host")) for tier in TIERS.values()]
    return [replace(room.view(scenario, machine), tier=tier) for tier, room in rooms if room]
