"""Which machines this computer has deployed to, and how it logs in there; kept beside the keys.

A machine that is taken out of config.py is known by it still.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fabfile.scenario.model import Scenario
from fabfile.scenario.parts import Login

FILE = "deployed.json"


@dataclass(frozen=True)
class Deployed:
    """A machine as it was when it was deployed to."""

    name: str
    tiers: tuple[str, ...]
    login: Login


def gone(scenario: Scenario) -> list[Deployed]:
    """Return the machines that were deployed to, and are not in the scenario any more."""
    now = {machine.name for machine in scenario.machines}
    noted = _read(scenario.state)
    return [_deployed(name, entry) for name, entry in noted.items() if name not in now]


def everywhere(scenario: Scenario) -> list[Deployed]:
    """Return all machines that deploy may have been at: those of the scenario, and those gone."""
    now = [Deployed(each.name, each.tiers, each.ssh) for each in scenario.inside]
    return [*now, *gone(scenario)]


def note(scenario: Scenario, names: list[str]) -> None:
    """Keep that those machines were deployed to, if that is news."""
    known = _read(scenario.state)
    new = {name: _entry(scenario, name) for name in names}
    if any(known.get(name) != entry for name, entry in new.items()):
        _write(scenario.state, {**known, **new})


def forget(scenario: Scenario, names: Collection[str]) -> None:
    """Keep no longer that those machines were deployed to."""
    known = _read(scenario.state)
    _write(scenario.state, {name: known[name] for name in known if name not in names})


def _entry(scenario: Scenario, name: str) -> dict[str, Any]:
    machine = scenario.machine(name)
    login = machine.ssh
    return {
        "tiers": list(machine.tiers),
        "host": login.host,
        "user": login.user,
        "port": login.port,
        "key": str(login.key) if login.key else None,
        "known_hosts": str(login.known_hosts) if login.known_hosts else None,
    }


def _deployed(name: str, entry: Mapping[str, Any]) -> Deployed:
    key, known_hosts = (Path(entry[k]) if entry[k] else None for k in ("key", "known_hosts"))
    where = f"{name} in {FILE}"
    login = Login(entry["host"], entry["user"], entry["port"], key, known_hosts, where, where)
    return Deployed(name, tuple(entry["tiers"]), login)


def _read(state: Path) -> dict[str, Any]:
    try:
        noted = json.loads((state / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _write(state: Path, noted: Mapping[str, Any]) -> None:
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = state / f"{FILE}.new"
    new.write_text(json.dumps(noted, indent=2))
    new.replace(state / FILE)
