"""Turns the entries of config.py into a `Scenario`, or says everything that is wrong with them.

Each check adds one sentence to a list and goes on, so that a person mends all mistakes at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from fabfile.scenario import ROOT, Application, Lab, Login, Machine, Scenario, ScenarioError

# The networks that a machine of each tier must be attached to.
TIERS = {
    "control": (),
    "client": ("lan1",),
    "firewall": ("lan1", "lan2"),
    "balancer": ("lan2", "lan3"),
    "app": ("lan3", "lan4"),
    "database": ("lan4",),
    "storage": ("lan4",),
}
# RFC 1123 section 2.1: letters, digits and inner hyphens, 63 at most. Lower case, as ours all are.
HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
SSH_TARGET = re.compile(r"(?:(?P<user>[^@\s]+)@)?(?P<host>[^@:\s]+)(?::(?P<port>\d+))?")
# Linux: 15 characters for the name of an interface (IFNAMSIZ).
INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")

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
        mistakes.append(f"{name} is not a known entry; known are {_names(ENTRIES)}")
    login = _table(entries, "LOGIN", LOGIN, mistakes)
    application = _table(entries, "APPLICATION", APPLICATION, mistakes)
    ports = _table(entries, "PORTS", PORTS, mistakes)
    storage = _table(entries, "STORAGE", STORAGE, mistakes)
    lab = _table(entries, "LAB", LAB, mistakes)
    name = entries.get("NAME", "pfinal")
    if not isinstance(name, str) or not HOST_NAME.fullmatch(name):
        mistakes.append(f"NAME {name!r} must be lower-case letters, digits and hyphens")
    networks = _networks(entries.get("NETWORKS"), mistakes)
    machines = _machines(entries.get("MACHINES"), networks, login, mistakes)
    _check_addresses(machines, mistakes)
    _check_tiers(machines, storage["replicas"], mistakes)
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


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _table(entries: dict, entry: str, known: dict, mistakes: list[str]) -> dict[str, Any]:
    """Answer the entry with defaults filled in; a wrong value is replaced by its default."""
    given = entries.get(entry, {})
    if not isinstance(given, dict):
        mistakes.append(f"{entry} must be a dictionary")
        given = {}
    for key in given.keys() - known.keys():
        mistakes.append(f"{entry}[{key!r}] is not a known key; known are {_names(known)}")
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


def _networks(given: Any, mistakes: list[str]) -> dict[str, IPv4Network]:
    if not isinstance(given, dict) or not given:
        mistakes.append("NETWORKS must be a dictionary of network name -> range")
        return {}
    networks = {}
    for name, text in given.items():
        if not INTERFACE.fullmatch(str(name)):
            mistakes.append(f"NETWORKS[{name!r}] is not a valid name: 15 letters or digits at most")
        try:
            networks[name] = IPv4Network(text)
        except ValueError as error:
            mistakes.append(f"NETWORKS[{name!r}] is {text!r}, it must be an IPv4 range: {error}")
    return networks


def _machines(given: Any, networks: dict, login: dict, mistakes: list[str]) -> list[Machine]:
    if not isinstance(given, dict) or not given:
        mistakes.append("MACHINES must be a dictionary of machine name -> description")
        return []
    machines = []
    for name, entry in given.items():
        where = f"MACHINES[{name!r}]"
        if not HOST_NAME.fullmatch(str(name)):
            mistakes.append(
                f"{where} is not a valid host name: lower-case letters, digits and inner hyphens"
            )
        if isinstance(entry, dict):
            machines.append(_machine(str(name), entry, networks, login, mistakes))
        else:
            mistakes.append(f"{where} must be a dictionary")
    return machines


def _machine(name: str, entry: dict, networks: dict, login: dict, mistakes: list[str]) -> Machine:
    where = f"MACHINES[{name!r}]"
    tier = entry.get("tier")
    if tier not in TIERS:
        mistakes.append(f"{where} has the unknown tier {tier!r}; known are {_names(TIERS)}")
    for network in TIERS.get(tier, ()):
        if network not in entry:
            mistakes.append(f"{where} has no address on {network!r}, which its tier {tier} needs")
    addresses = {}
    for key, value in entry.items():
        if key in networks:
            address = _address(value, f"{where}[{key!r}]", mistakes)
            if address:
                addresses[key] = address
                if address not in networks[key]:
                    mistakes.append(
                        f"{where}[{key!r}] is {value}, outside its network {networks[key]}"
                    )
        elif key not in ("tier", "ssh", "key", "interfaces", "routes"):
            mistakes.append(f"{where}[{key!r}] is neither a known key nor a network of NETWORKS")
    return Machine(
        name=name,
        tier=str(tier),
        addresses=addresses,
        login=None if tier == "control" else _login(where, entry, addresses, login, mistakes),
        interfaces=_interfaces(where, entry.get("interfaces", {}), networks, mistakes),
        routes=_routes(where, entry.get("routes", {}), mistakes),
    )


def _address(text: Any, where: str, mistakes: list[str]) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except ValueError:
        mistakes.append(f"{where} is {text!r}, which is not an IPv4 address")
        return None


def _login(where: str, entry: dict, addresses: dict, login: dict, mistakes: list[str]) -> Login:
    target = {"host": str(addresses.get("management", "")), "user": None, "port": None}
    if "ssh" in entry:
        match = SSH_TARGET.fullmatch(str(entry["ssh"]))
        if match:
            target = match.groupdict()
        else:
            mistakes.append(f"{where}['ssh'] is {entry['ssh']!r}, it must be like user@host:port")
    elif "management" not in entry:
        mistakes.append(f"{where} has neither 'ssh' nor a 'management' address to log in on")
    port = int(target["port"]) if target["port"] else (None if "ssh" in entry else login["port"])
    if port is not None and "ssh" in entry:
        _check_port(f"{where}['ssh']", port, mistakes)
    return Login(
        host=target["host"],
        user=target["user"] or (None if "ssh" in entry else login["user"]),
        port=port,
        key=_path(entry.get("key") or login["key"]),
        known_hosts=_path(login["known_hosts"]),
    )


def _path(text: str) -> Path | None:
    return ROOT / Path(text).expanduser() if text else None


def _interfaces(where: str, given: Any, networks: dict, mistakes: list[str]) -> dict[str, str]:
    if not isinstance(given, dict):
        mistakes.append(f"{where}['interfaces'] must be a dictionary of network -> interface")
        return {}
    for network, name in given.items():
        if network not in networks:
            mistakes.append(f"{where}['interfaces'] names the unknown network {network!r}")
        if not INTERFACE.fullmatch(str(name)):
            mistakes.append(f"{where}['interfaces'][{network!r}] is {name!r}, not a valid name")
    return given


def _routes(where: str, given: Any, mistakes: list[str]) -> dict[IPv4Network, IPv4Address]:
    if not isinstance(given, dict):
        mistakes.append(f"{where}['routes'] must be a dictionary of range -> gateway")
        return {}
    routes = {}
    for text, gateway in given.items():
        try:
            routes[IPv4Network(text)] = IPv4Address(gateway)
        except ValueError as error:
            mistakes.append(f"{where}['routes'][{text!r}] is {gateway!r}: {error}")
    return routes


def _check_addresses(machines: list[Machine], mistakes: list[str]) -> None:
    owners: dict[IPv4Address, str] = {}
    for machine in machines:
        for network, address in machine.addresses.items():
            where = f"MACHINES[{machine.name!r}][{network!r}]"
            owner = owners.setdefault(address, machine.name)
            if owner != machine.name:
                mistakes.append(f"{where} is {address}, which {owner} has already")


def _check_tiers(machines: list[Machine], replicas: int, mistakes: list[str]) -> None:
    count = {tier: sum(machine.tier == tier for machine in machines) for tier in TIERS}
    for tier, words in (
        ("firewall", "a firewall"),
        ("balancer", "a load balancer"),
        ("database", "a database"),
    ):
        if count[tier] != 1:
            mistakes.append(
                f"MACHINES needs exactly one machine of the tier {tier!r} "
                f"({words}), it has {count[tier]}"
            )
    if not count["app"]:
        mistakes.append(
            "MACHINES has no machine of the tier 'app' (an app server); add one or more"
        )
    if count["storage"] < 3:
        mistakes.append(
            f"MACHINES has {count['storage']} machine(s) of the tier 'storage', "
            "it needs 3 or more to keep a quorum when one is lost"
        )
    if replicas < 3 or replicas % 2 == 0:
        mistakes.append(f"STORAGE['replicas'] is {replicas}, it must be an odd number, 3 or more")
    elif count["storage"] >= 3 and count["storage"] % replicas:
        mistakes.append(
            f"MACHINES has {count['storage']} storage servers, "
            f"it must be a multiple of STORAGE['replicas'] = {replicas}"
        )


def _check_port(where: str, port: int, mistakes: list[str]) -> None:
    if not 1 <= port <= 65535:
        mistakes.append(f"{where} is port {port}, it must be from 1 to 65535")


def _check_values(
    login: dict, ports: dict, storage: dict, lab: dict, networks: dict, mistakes: list[str]
) -> None:
    _check_port("LOGIN['port']", login["port"], mistakes)
    for name, port in ports.items():
        _check_port(f"PORTS[{name!r}]", port, mistakes)
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
