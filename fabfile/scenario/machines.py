"""Reads NETWORKS and MACHINES of config.py, and says what is wrong with each machine.

Part of `fabfile.scenario.validation`: each check adds one sentence to `mistakes` and goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from fabfile.scenario.debian import BY_CODENAME, DEFAULT
from fabfile.scenario.model import ROOT
from fabfile.scenario.parts import MANAGEMENT, PUBLIC, Login, Machine
from fabfile.tiers import TIERS

# RFC 1123 section 2.1: letters, digits and inner hyphens, 63 at most. Lower case, as ours all are.
HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
SSH_TARGET = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^@:\[\]\s]+))(?::(?P<port>\d+))?"
)
# Linux: 15 characters for the name of an interface (IFNAMSIZ).
INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
# A port that is open on a machine for something that is not of the scenario: 443, "51820/udp".
PORT = re.compile(r"(?P<port>\d{1,5})(?:/(?P<protocol>tcp|udp))?")
KEYS = ("tier", "tiers", "ssh", "key", "interfaces", "routes", "release", "open")
# A dictionary of config.py: a person wrote it, so that a value is of any type until it is checked.
Table = Mapping[str, Any]
Networks = Mapping[str, IPv4Network]


def listed(names: Iterable[str]) -> str:
    """Return names in order, for a sentence."""
    return ", ".join(sorted(names))


def read_networks(given: Any, mistakes: list[str]) -> dict[str, IPv4Network]:
    """Return the ranges of NETWORKS."""
    if not isinstance(given, dict) or not given:
        mistakes.append("NETWORKS must be a dictionary of network name -> range")
        return {}
    answer = {}
    for name, text in given.items():
        if not INTERFACE.fullmatch(str(name)):
            mistakes.append(f"NETWORKS[{name!r}] is not a valid name: 15 letters or digits at most")
        try:
            answer[name] = IPv4Network(text)
        except ValueError as error:
            mistakes.append(f"NETWORKS[{name!r}] is {text!r}, it must be an IPv4 range: {error}")
    return answer


def read_machines(
    given: Any, networks: Networks, login: Table, mistakes: list[str]
) -> list[Machine]:
    """Return the machines of MACHINES that can be read at all."""
    if not isinstance(given, dict):
        mistakes.append("MACHINES must be a dictionary of machine name -> description")
        return []
    if not given:
        mistakes.append(
            "MACHINES is empty; to take all machines of a scenario off, leave them in it, and "
            "'invoke retire --all'"
        )
    answer = []
    for name, entry in given.items():
        where = f"MACHINES[{name!r}]"
        if not HOST_NAME.fullmatch(str(name)):
            mistakes.append(
                f"{where} is not a valid host name: lower-case letters, digits and inner hyphens"
            )
        if isinstance(entry, dict):
            answer.append(_machine(str(name), entry, networks, login, mistakes))
        else:
            mistakes.append(f"{where} must be a dictionary")
    return answer


def _machine(
    name: str, entry: Table, networks: Networks, login: Table, mistakes: list[str]
) -> Machine:
    where = f"MACHINES[{name!r}]"
    tiers = _tiers(where, entry, mistakes)
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
        elif key not in KEYS:
            mistakes.append(f"{where}[{key!r}] is neither a known key nor a network of NETWORKS")
    return Machine(
        name=name,
        tiers=tiers,
        addresses=addresses,
        login=None
        if "control" in tiers
        else _login(where, entry, addresses, networks, login, mistakes),
        interfaces=_interfaces(where, entry.get("interfaces", {}), networks, mistakes),
        routes=_routes(where, entry.get("routes", {}), mistakes),
        release=_release(where, entry.get("release", DEFAULT.codename), mistakes),
        open=_open(where, entry.get("open", []), mistakes),
    )


def _open(where: str, given: Any, mistakes: list[str]) -> tuple[tuple[str, int], ...]:
    """Return protocol and number of each port that is open for something else."""
    if not isinstance(given, list):
        mistakes.append(f"{where}['open'] is {given!r}, it must be a list of ports")
        return ()
    answer = []
    for each in given:
        match = PORT.fullmatch(str(each))
        if match:
            check_port(f"{where}['open']", int(match["port"]), mistakes)
            answer.append((match["protocol"] or "tcp", int(match["port"])))
        else:
            mistakes.append(f"{where}['open'] has {each!r}, a port is like 443 or '51820/udp'")
    return tuple(answer)


def _tiers(where: str, entry: Table, mistakes: list[str]) -> tuple[str, ...]:
    """Return the tiers of a machine: "tier" is one, "tiers" a list of them."""
    given = entry.get("tiers", [entry.get("tier")])
    if "tier" in entry and "tiers" in entry:
        mistakes.append(f"{where} has both 'tier' and 'tiers': keep one of them")
    if not isinstance(given, list) or not given:
        mistakes.append(f"{where}['tiers'] is {given!r}, it must be a list of tiers")
        return ()
    known = [tier for tier in given if isinstance(tier, str) and tier in TIERS]
    for tier in given:
        if tier not in known:
            mistakes.append(f"{where} has the unknown tier {tier!r}; known are {listed(TIERS)}")
    return tuple(dict.fromkeys(known))


def _release(where: str, given: Any, mistakes: list[str]) -> str:
    if given not in BY_CODENAME:
        mistakes.append(f"{where}['release'] is {given!r}, it must be {' or '.join(BY_CODENAME)}")
        return DEFAULT.codename
    return str(given)


def _address(text: Any, where: str, mistakes: list[str]) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except ValueError:
        mistakes.append(f"{where} is {text!r}, which is not an IPv4 address")
        return None


def _login(
    where: str,
    entry: Table,
    addresses: Mapping[str, IPv4Address],
    networks: Networks,
    login: Table,
    mistakes: list[str],
) -> Login:
    host, user, port = _reached(addresses), login["user"], login["port"]
    if "ssh" in entry:
        host, user, port = _target(where, str(entry["ssh"]), mistakes)
    elif MANAGEMENT in networks and MANAGEMENT not in entry:
        mistakes.append(f"{where} has neither 'ssh' nor a {MANAGEMENT!r} address to log in on")
    elif not host:
        mistakes.append(f"{where} has neither 'ssh' nor an address on a network to log in on")
    key = entry.get("key", "")
    if not isinstance(key, str):
        mistakes.append(f"{where}['key'] is {key!r}, it must be text")
        key = ""
    return Login(
        host,
        user,
        port,
        key=_path(key or login["key"]),
        known_hosts=_path(login["known_hosts"]),
        host_from=f"{where}['ssh']",
        key_from=f"{where}['key']" if key else "LOGIN['key']",
    )


def _reached(addresses: Mapping[str, IPv4Address]) -> str:
    """Return where to log in: for management, else from anywhere, else the first address."""
    for name in (MANAGEMENT, PUBLIC, *addresses):
        if name in addresses:
            return str(addresses[name])
    return ""


def _target(where: str, text: str, mistakes: list[str]) -> tuple[str, str | None, int | None]:
    """Return host, user and port; what is not said is None, and left to ~/.ssh/config."""
    match = SSH_TARGET.fullmatch(text)
    if not match:
        mistakes.append(
            f"{where}['ssh'] is {text!r}, it must be like user@host:port, or "
            "user@[address]:port for IPv6"
        )
        return "", None, None
    port = int(match["port"]) if match["port"] else None
    if port is not None:
        check_port(f"{where}['ssh']", port, mistakes)
    return match["six"] or match["host"], match["user"], port


def _path(text: str) -> Path | None:
    return ROOT / Path(text).expanduser() if text else None


def _interfaces(where: str, given: Any, networks: Networks, mistakes: list[str]) -> dict[str, str]:
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


def check_port(where: str, port: int, mistakes: list[str]) -> None:
    """Say it when a port is out of range."""
    if not 1 <= port <= 65535:
        mistakes.append(f"{where} is port {port}, it must be from 1 to 65535")
