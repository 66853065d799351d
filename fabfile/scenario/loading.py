"""Reads config.py and the inventory, and checks both as a whole.

Standard library only: it is read before anything is installed.
"""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

from fabfile.scenario import systems
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
    try:
        # By its loader: a file of any name will do.
        loader = SourceFileLoader("crm_config", str(source))
        module = ModuleType(loader.name)
        loader.exec_module(module)
    except FileNotFoundError:
        raise ScenarioError(
            str(source), ["there is no such file; name one in CRM_CONFIG"]
        ) from None
    except Exception as error:
        mistake = f"it is not valid Python: {type(error).__name__}: {error}"
        raise ScenarioError(str(source), [mistake]) from None
    entries = {name: value for name, value in vars(module).items() if name.isupper()}
    file = inventory_file(states / str(entries.get("NAME", "pfinal")))
    try:
        inventory = read(file) if inventory is None else inventory
        if isinstance(entries.get("MACHINES"), dict):
            entries["MACHINES"] = inventory.merged(entries["MACHINES"])
    except InventoryError as error:
        raise ScenarioError(str(file), [str(error)]) from None
    scenario = replace(scenario_from(entries, source), inventory=inventory, states=states)
    return replace(scenario, systems=systems.read(scenario.state))
