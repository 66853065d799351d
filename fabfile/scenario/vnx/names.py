"""What the reader and the writer of VNX files have in common: names, numbers, how they refuse."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network

# The names of the scenario that this project was written for, and the tier of each.
TIER_NAMES = (
    (re.compile(r"fw\d*"), "firewall"),
    (re.compile(r"lb\d*"), "balancer"),
    (re.compile(r"s\d+"), "app"),
    (re.compile(r"bbdd\d*"), "database"),
    (re.compile(r"nas\d+"), "storage"),
    (re.compile(r"c\d+"), "client"),
)
# What a machine of VNX calls its interface 0, which nobody but the host is connected to.
MANAGEMENT_INTERFACE = "eth0"


class VnxError(Exception):
    """What is wrong with VNX files: `.mistakes` holds one sentence each."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = list(mistakes)
        super().__init__("\n".join([*mistakes, "Nothing was written."]))


def tier_of(name: str) -> str:
    """Return the tier that a machine of that name has, "" for a name that says none."""
    return next((tier for names, tier in TIER_NAMES if names.fullmatch(name)), "")


def management_address(network: IPv4Network, offset: int, index: int) -> IPv4Address:
    """Return the management address of the machine at that place in its file, from 0.

    VNX gives each a network of four addresses: the host has the first usable one, it the second.
    Raises ValueError when there is no room.
    """
    number = offset + 4 * index + 2
    if number + 1 >= network.num_addresses:
        raise ValueError(f"{network} from {offset} on has no room for {index + 1} machines")
    return network.network_address + number


def shown(text: str | None) -> str:
    """Return a text of a file on one line, without what a terminal would obey, shortened."""
    words = " ".join((text or "").split())
    clean = "".join(letter if letter.isprintable() else "?" for letter in words)
    return clean if len(clean) <= 200 else f"{clean[:197]}..."
