"""Shared addresses: each is on exactly one of the machines that share it, as their network sees it.

Nothing is asked where each machine has all of its addresses for itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from fabfile.engine.remote import Remote
from fabfile.scenario import Machine
from fabfile.verify.check import Check, Site, judged, together

WHO_HAS = Path(__file__).parent / "programs/who_has.py"


def checks(site: Site) -> list[Check]:
    """Check who has the addresses of each tier whose machines share some."""
    return [
        judged(
            f"addresses: {' and '.join(map(str, shared.values()))} "
            f"{'is' if len(shared) == 1 else 'are'} on exactly one of "
            f"{' and '.join(each.name for each in site.scenario.tier(tier))}",
            lambda tier=tier: _on_one(site, tier),  # type: ignore[misc]
        )
        for tier, shared in site.scenario.floating.items()
    ]


def _on_one(site: Site, tier: str) -> tuple[bool, str]:
    members = [m for m in site.scenario.tier(tier) if isinstance(site.remotes[m.name], Remote)]
    shown = together(members, lambda each: site.run(each.name, "ip -o link; ip -o -4 addr"))
    holders: set[str] = set()
    seen, well = [], True
    for network, address in site.scenario.floating[tier].items():
        having = [name for name, text in shown.items() if f" {address}/" in text]
        asker, cards = _answering(site, members, network, str(address))
        answering = [_owner(card, shown) for card in cards]
        well = well and len(having) == 1 and (not asker or answering == having)
        holders |= {*having}
        by_arp = f"; {asker} is answered by {_listed(answering)}" if asker else ""
        seen.append(f"{address} on {_listed(having)}{by_arp}")
    return well and len(holders) == 1, "; ".join(seen)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names) or "nobody"


def _answering(
    site: Site, members: Sequence[Machine], network: str, address: str
) -> tuple[str, list[str]]:
    """Return a machine on the network that was asked who has an address, and which cards have."""
    for machine in site.scenario.inside + site.scenario.tier("client"):
        if machine in members or network not in machine.addresses:
            continue
        if not isinstance(site.remotes.get(machine.name), Remote):
            continue
        own = str(machine.addresses[network])
        found = re.search(r": (\S+)", site.run(machine.name, f"ip -4 -o addr show to {own}/32"))
        if found:
            given = (found[1].partition("@")[0], own, address)
            return machine.name, site.program(machine.name, WHO_HAS, given)
    return "", []


def _owner(card: str, shown: dict[str, str]) -> str:
    return next((name for name, text in shown.items() if f" {card} " in text), card)
