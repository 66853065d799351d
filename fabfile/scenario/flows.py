"""Who may reach whom: the join of what tiers listen on and what others use of it.

The one table of it. Rules of the firewall, addresses, access lists, the picture and what `verify`
tries follow from here, so that a new tier says what it uses, and no other one is touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fabfile.tiers import TIERS
from fabfile.tiers.tier import Listener, Tier

# On every machine that is deployed to, at the port of its login: 22 where that says nothing.
SSH = Listener("ssh", "SSH", numbers=(22, 22))
EVERY = "*"
# The tier that stands for them; a scenario need not have machines of it.
USERS = "client"
# The person's own computer.
CONTROL = "control"


@dataclass(frozen=True)
class Flow:
    """Machines of the tier `source` may reach those of the tier `target` at this listener."""

    source: str
    target: str
    listener: Listener


def joined(tiers: Iterable[Tier]) -> tuple[Flow, ...]:
    """Return the table; raises KeyError for a use of what nobody listens on."""
    known = {tier.name: tier for tier in tiers}
    found = []
    for source in known.values():
        for use in source.uses:
            target, _, name = use.partition(".")
            of = [each for each in known.values() if each.inside] if target == EVERY else []
            for each in of or [known[target]]:
                found.append(Flow(source.name, each.name, _listener(each, name)))
    return tuple(found)


def _listener(tier: Tier, name: str) -> Listener:
    for listener in (SSH, *tier.listens):
        if listener.name == name:
            return listener
    raise KeyError(f"{tier.name}.{name}")


FLOWS = joined(TIERS.values())


def sources(target: str, listener: str = "") -> tuple[str, ...]:
    """Return the tiers that may reach a tier, at that listener if it is named."""
    found = (
        flow.source
        for flow in FLOWS
        if flow.target == target and listener in ("", flow.listener.name)
    )
    return tuple(dict.fromkeys(found))
