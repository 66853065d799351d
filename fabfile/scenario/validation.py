"""Turns the entries of config.py into a `Scenario`, or says everything that is wrong with them.

Each check adds one sentence to a list and goes on, so that a person repairs all mistakes at once.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fabfile.scenario.applications import read_applications
from fabfile.scenario.checks import check_addresses, check_tiers, check_ways
from fabfile.scenario.floating import ENTRY as FLOATING
from fabfile.scenario.floating import read_floating
from fabfile.scenario.machines import (
    HOST_NAME,
    INTERFACE,
    Networks,
    Table,
    check_port,
    listed,
    read_machines,
    read_networks,
)
from fabfile.scenario.model import Scenario, ScenarioError
from fabfile.scenario.parts import Lab
from fabfile.scenario.second_place import read_second_place
from fabfile.scenario.tables import read_table
from fabfile.tiers import TIERS

ENTRIES = {"NAME", "NETWORKS", "MACHINES", "LOGIN", "PORTS", "STORAGE", "LAB"}
ENTRIES |= {"APPLICATION", "APPLICATIONS", "SECOND_PLACE", FLOATING, "REPLICATION"}
LOGIN = {"user": (str, "deploy"), "port": (int, 22), "key": (str, ""), "known_hosts": (str, "")}
PORTS = {
    listener.port: (int, listener.default)
    for tier in TIERS.values()
    for listener in tier.listens
    if listener.port
}
# How several databases copy each other, first the usual one: see docs/databases.md.
REPLICATION = ("synchronous", "strict", "asynchronous")
STORAGE = {"replicas": (int, 3), "brick": (str, "/nas/brick")}
LAB = {
    "directory": (str, "/var/lib/crm-lab"),
    "bridge_prefix": (str, "crm-"),
    "disk_mb": (int, 4000),
    "memory_mb": (int, 2500),
}


def scenario_from(entries: dict[str, Any], source: Path) -> Scenario:
    """Return the scenario that `entries` (name -> value, as in config.py) describe.

    Raises ScenarioError with every mistake.
    """
    mistakes: list[str] = []
    for name in sorted(entries.keys() - ENTRIES):
        mistakes.append(f"{name} is not a known entry; known are {listed(ENTRIES)}")
    login = read_table(entries, "LOGIN", LOGIN, mistakes)
    ports = read_table(entries, "PORTS", PORTS, mistakes)
    storage = read_table(entries, "STORAGE", STORAGE, mistakes)
    lab = read_table(entries, "LAB", LAB, mistakes)
    name = entries.get("NAME", "pfinal")
    if not isinstance(name, str) or not HOST_NAME.fullmatch(name):
        mistakes.append(f"NAME {name!r} must be lower-case letters, digits and hyphens")
    networks = read_networks(entries.get("NETWORKS"), mistakes)
    machines = read_machines(entries.get("MACHINES"), networks, login, mistakes)
    if machines:
        check_addresses(machines, mistakes)
        check_tiers(machines, mistakes)
        check_ways(machines, mistakes)
    floating = read_floating(entries, networks, machines, mistakes)
    _check_values(login, ports, storage, lab, networks, mistakes)
    applications = read_applications(entries, mistakes)
    replication = entries.get("REPLICATION", REPLICATION[0])
    if replication not in REPLICATION:
        known = ", ".join(map(repr, REPLICATION))
        mistakes.append(f"REPLICATION is {replication!r}, it must be one of {known}")
    second_place = read_second_place(entries, mistakes)
    if second_place and machines and not any("storage" in each.tiers for each in machines):
        mistakes.append("SECOND_PLACE names a place for backups, and no storage server makes any")
    for tier in TIERS.values():
        if limits := tier.room("limits"):
            mistakes += limits.mistakes(machines, storage["replicas"], applications)
    if mistakes:
        raise ScenarioError(str(source), mistakes)
    return Scenario(
        name=name,
        networks=networks,
        machines=tuple(machines),
        application=applications[0],
        applications=tuple(applications),
        ports=ports,
        replicas=storage["replicas"],
        brick=storage["brick"],
        second_place=second_place,
        floating=floating,
        replication=replication,
        lab=Lab(**{**lab, "directory": Path(lab["directory"])}),
        source=source,
    )


def _check_values(
    login: Table, ports: Table, storage: Table, lab: Table, networks: Networks, mistakes: list[str]
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
