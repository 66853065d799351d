"""Memory that a machine must have."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from fabfile.engine.change import Change, Refused


@dataclass(frozen=True)
class Memory:
    """At least so many MiB of memory, for a purpose that ends the sentence; it changes nothing."""

    mebibytes: int
    purpose: str
    key: str = "memory"

    def probe(self) -> str:
        """Print the machine's memory in KiB."""
        return "sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo"

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Change nothing; raises Refused when it has less."""
        found = int(facts.strip() or 0) // 1024
        if found < self.mebibytes:
            raise Refused(
                f"it has {found} MiB of memory, and {self.mebibytes} MiB are needed {self.purpose}"
            )
        return None
