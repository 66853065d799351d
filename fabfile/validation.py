"""Turns the entries of config.py into a `Scenario`, or says everything that is wrong with them.

Each check adds one sentence to a list and goes on, so that a person mends all mistakes at once.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fabfile.scenario import ROOT, Application, Lab, Scenario, ScenarioError
from fabfile.validation_machines import (
    HOST_NAME,
    INTERFACE,
    check_addresses,
    check_port,
    check_tiers,
    listed,
    read_machines,
    read_networks,
)

REQUIRED = object()
ENTRIES = {"NAME", "NETWORKS", "MACHINES", "LOGIN", "APPLICATION", "PORTS", "STORAGE", "LAB"}
LOGIN = {"user": (str, "deploy"), "port": (int, 22), "key": (str, ""), "known_hosts": (str, "")}
APPLICATION = {
    "name": (str, REQUIRED),
    "source": (str, REQUIRED),
    "start": (str, REQUIRED),
    "health": (str, REQUIRED),
    "packages": (list, ()),
    "build": (str, ""),
    "migrate": (str, ""),
    "seed": (str, ""),
    "memory": (int, 400),
    "uid": (int, 900),
    "exclude": (list, ()),
    "environment": (dict, {}),
}
PORTS = {"http": (int, 80), "app": (int, 3000), "statistics": (int, 8404)}
STORAGE = {"replicas": (int, 3), "brick": (str, "/nas/brick")}
LAB = {
    "directory": (str, "/var/lib/crm-lab"),
    "bridge_prefix": (str, "crm-"),
    "disk_mb": (int, 4000),
    "memory_mb": (int, 2500),
}


def scenario_from(entries: dict[str, Any], source: Path) -> Scenario:
    """Answer the scenario that `entries` (name -> value, as in config.py) describe.

    Raises ScenarioError with every mistake.
    """
    mistakes: list[str] = []
    for name in sorted(entries.keys() - ENTRIES):
        mistakes.append(f"{name} is not a known entry; known are {listed(ENTRIES)}")
    login = _table(entries, "LOGIN", LOGIN, mistakes)
    application = _table(entries, "APPLICATION", APPLICATION, mistakes)
    ports = _table(entries, "PORTS", PORTS, mistakes)
    storage = _table(entries, "STORAGE", STORAGE, mistakes)
    lab = _table(entries, "LAB", LAB, mistakes)
    name = entries.get("NAME", "pfinal")
    if not isinstance(name, str) or not HOST_NAME.fullmatch(name):
        mistakes.append(f"NAME {name!r} must be lower-case letters, digits and hyphens")
    networks = read_networks(entries.get("NETWORKS"), mistakes)
    machines = read_machines(entries.get("MACHINES"), networks, login, mistakes)
    check_addresses(machines, mistakes)
    check_tiers(machines, storage["replicas"], mistakes)
    _check_values(login, ports, storage, lab, networks, mistakes)
    _check_application(application, mistakes)
    if mistakes:
        raise ScenarioError(str(source), mistakes)
    return Scenario(
        name=name,
        networks=networks,
        machines=tuple(machines),
        application=Application(
            **{
                **application,
                "source": ROOT / application["source"],
                "packages": tuple(application["packages"]),
                "exclude": tuple(application["exclude"]),
            }
        ),
        ports=ports,
        replicas=storage["replicas"],
        brick=storage["brick"],
        lab=Lab(**{**lab, "directory": Path(lab["directory"])}),
        source=source,
    )


def _table(entries: dict, entry: str, known: dict, mistakes: list[str]) -> dict[str, Any]:
    """Answer the entry with defaults filled in; a wrong value is replaced by its default."""
    given = entries.get(entry, {})
    if not isinstance(given, dict):
        mistakes.append(f"{entry} must be a dictionary")
        given = {}
    for key in given.keys() - known.keys():
        mistakes.append(f"{entry}[{key!r}] is not a known key; known are {listed(known)}")
    table = {}
    for key, (kind, default) in known.items():
        value = given.get(key, default)
        if value is REQUIRED:
            mistakes.append(f"{entry} has no {key!r}; add it")
            value = kind()
        elif key in given and (not isinstance(value, kind) or isinstance(value, bool)):
            words = {str: "text", int: "a whole number", list: "a list", dict: "a dictionary"}
            mistakes.append(f"{entry}[{key!r}] is {value!r}, it must be {words[kind]}")
            value = kind() if default is REQUIRED else default
        table[key] = value
    return table


def _check_values(
    login: dict, ports: dict, storage: dict, lab: dict, networks: dict, mistakes: list[str]
) -> None:
    check_port("LOGIN['port']", login["port"], mistakes)
    for name, port in ports.items():
        check_port(f"PORTS[{name!r}]", port, mistakes)
    for where, path in (
        ("STORAGE['brick']", storage["brick"]),
        ("LAB['directory']", lab["directory"]),
    ):
        if not path.startswith("/") or path.count("/") < 2 or re.search(r"[\s:,]", path):
            mistakes.append(
                f"{where} is {path!r}, it must be an absolute path below a directory, "
                "without spaces, colons or commas"
            )
    for network in networks:
        if not INTERFACE.fullmatch(lab["bridge_prefix"] + network):
            mistakes.append(
                f"LAB['bridge_prefix'] makes the bridge name {lab['bridge_prefix'] + network!r}, "
                "15 letters, digits or hyphens at most"
            )
    for key in ("disk_mb", "memory_mb"):
        if lab[key] < 0:
            mistakes.append(f"LAB[{key!r}] is {lab[key]}, it must not be negative")


def _check_application(application: dict, mistakes: list[str]) -> None:
    # It names a system user, a database and directories: PostgreSQL and useradd agree on these.
    if application["name"] and not re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", application["name"]):
        mistakes.append(
            f"APPLICATION['name'] is {application['name']!r}, it must begin with a lower-case "
            "letter and hold only lower-case letters, digits, '-' and '_', 31 at most"
        )
    if application["source"] and not (ROOT / application["source"]).is_dir():
        mistakes.append(f"APPLICATION['source'] is {application['source']!r}, no such directory")
    if application["health"] and not application["health"].startswith("/"):
        mistakes.append(f"APPLICATION['health'] is {application['health']!r}, it must begin with /")
    for key in ("packages", "exclude"):
        if not all(isinstance(value, str) for value in application[key]):
            mistakes.append(f"APPLICATION[{key!r}] is {application[key]!r}, each must be text")
    if application["memory"] < 64:
        mistakes.append(f"APPLICATION['memory'] is {application['memory']} MiB, 64 at least")
    for name, value in application["environment"].items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(name)) or not isinstance(value, str):
            mistakes.append(
                f"APPLICATION['environment'][{name!r}] must be a name with a text value"
            )
        elif name in ("DATABASE_URL", "SECRET_KEY", "UPLOADS", "PORT"):
            mistakes.append(
                f"APPLICATION['environment'][{name!r}] is set by the deployer, remove it"
            )
