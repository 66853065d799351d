"""The addresses of new app servers: by habit s4 is .14, else the next host number that is free.

Pure functions of what is taken. A server has the same host number on each of its networks, so
that a person can read one address from the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

# Where numbers go that the habit cannot serve: s11 would be .21, which nas1 has.
OVERFLOW = 101


class AddressError(Exception):
    """Why a server cannot have an address, as one sentence."""


def allocate(
    name: str,
    networks: Mapping[str, IPv4Network],
    taken: Mapping[IPv4Address, str],
    given: Mapping[str, str],
) -> dict[str, str]:
    """Return an address on each of `networks` for the server of that name.

    `taken` says which machine has an address; `given` holds those a person asked for, by network.
    Raises AddressError when one of these cannot be had, or none is left.
    """
    chosen = {
        network: _asked(network, text, networks[network], taken) for network, text in given.items()
    }
    free = {network: networks[network] for network in networks if network not in given}
    for number in _numbers(name, list(free.values())):
        candidates = {network: block.network_address + number for network, block in free.items()}
        if all(
            address in free[network] and address != free[network].broadcast_address
            for network, address in candidates.items()
        ) and not any(address in taken for address in candidates.values()):
            chosen.update(candidates)
            return {network: str(chosen[network]) for network in networks}
    blocks = ", ".join(f"{network} ({block})" for network, block in free.items())
    raise AddressError(
        f"no host number from {OVERFLOW} up is free on all of {blocks} for {name}; "
        "remove a server, or widen the networks in config.py"
    )


def _numbers(name: str, blocks: Sequence[IPv4Network]) -> list[int]:
    """Return the host numbers to try, in their order."""
    digits = re.search(r"(\d{1,4})$", name)
    habit = [10 + int(digits[1])] if digits and int(digits[1]) else []
    # All are given: one try is enough.
    size = min((block.num_addresses for block in blocks), default=OVERFLOW + 2)
    return [*habit, *range(OVERFLOW, size - 1)]


def _asked(
    network: str, text: str, block: IPv4Network, taken: Mapping[IPv4Address, str]
) -> IPv4Address:
    try:
        address = IPv4Address(text)
    except ValueError:
        raise AddressError(f"{text!r} is not an IPv4 address for {network}") from None
    if address not in block or address in (block.network_address, block.broadcast_address):
        raise AddressError(f"{address} is outside {network}, which is {block}")
    if address in taken:
        raise AddressError(f"{address} on {network} is taken: {taken[address]} has it")
    return address
