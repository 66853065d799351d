"""Reads config.py and the inventory, and checks both as a whole.

Standard library only: it is read before anything is installed.
"""

from __future__ import annotations

import os
import traceback
from dataclasses import replace
from pathlib import Path

from fabfile.scenario import systems
from fabfile.scenario.files import entries_of
from fabfile.scenario.inventory import Inventory, InventoryError, read
from fabfile.scenario.model import ROOT, STATES, Scenario, ScenarioError, inventory_file
from fabfile.scenario.validation import scenario_from


def load(
    path: str | Path | None = None, inventory: Inventory | None = None, states: Path = STATES
) -> Scenario:
    """Read and check a scenario: `path`, else the file $CRM_CONFIG names, else config.py.

    `inventory` is what differs from it, by default what its inventory file says; that is in the
    scenario's own directory below `states`. Raises ScenarioError with every mistake found.
    """
    source = Path(path or os.environ.get("CRM_CONFIG") or ROOT / "config.py").resolve()
    if not source.is_file():
        raise ScenarioError(str(source), ["there is no such file; name one in CRM_CONFIG"])
    try:
        entries = entries_of(source)
    except SyntaxError as error:
        mistake = f"it is not valid Python: {type(error).__name__}: {error}"
        raise ScenarioError(str(source), [mistake]) from None
    except Exception as error:
        raise ScenarioError(str(source), [_failed(error, source)]) from None
    file = inventory_file(states / str(entries.get("NAME", "pfinal")))
    try:
        inventory = read(file) if inventory is None else inventory
        if isinstance(entries.get("MACHINES"), dict):
            entries["MACHINES"] = inventory.merged(entries["MACHINES"])
    except InventoryError as error:
        raise ScenarioError(str(file), [str(error)]) from None
    scenario = replace(scenario_from(entries, source), inventory=inventory, states=states)
    return replace(scenario, systems=systems.read(scenario.state))


def _failed(error: Exception, source: Path) -> str:
    """Return what a scenario's own code raised, and in which of its lines."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if Path(each.filename).parent in (source.parent, ROOT)]
    at = (own or frames)[-1]
    where = f"line {at.lineno} of {Path(at.filename).name}"
    return f"it cannot be run: {type(error).__name__}: {error} ({where})"
