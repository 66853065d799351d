"""That HAProxy sees the app servers: one that answers may still be closed to the balancer."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from fabfile.engine.change import Change
from fabfile.tiers.balancer.haproxy import LIBRARY

# HAProxy needs two checks, a second apart, each of which may take a second.
SECONDS = 10


@dataclass(frozen=True)
class Seen:
    """The app servers that HAProxy must see up; it changes nothing, waits, and fails in vain.

    `after` are the changes that have HAProxy check them anew. `advice` ends what is said of those
    that it does not see.
    """

    servers: tuple[str, ...]
    after: tuple[str, ...]
    advice: str
    key: str = "HAProxy sees the app servers"

    def probe(self) -> str:
        """Print what HAProxy says of each server that is not up."""
        return f"{LIBRARY}unseen {' '.join(self.servers)}"

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Wait until all are up, if one is not, or HAProxy is about to check them anew."""
        if not facts.strip() and not changed & {*self.after}:
            return None
        script = f"{LIBRARY}seen {SECONDS} {' '.join(self.servers)}"
        return Change(
            self.key,
            f"wait until HAProxy sees {', '.join(self.servers)} up",
            f"{script} || {{ echo {self.advice!r}; exit 1; }}",
            seconds=SECONDS + 30,
        )
