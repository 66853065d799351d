"""What other people run on a machine that decides who gets in, or changes packages by itself."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from fabfile.engine.change import Change

# Units that load rules of a packet filter, and what people call them.
FILTERS = {
    "docker.service": "Docker",
    "fail2ban.service": "fail2ban",
    "firewalld.service": "firewalld",
    "netfilter-persistent.service": "netfilter-persistent",
    "nftables.service": "nftables.service",
    "tailscaled.service": "Tailscale",
}
# Those that close what they were not told to open.
CLOSING = ("firewalld", "netfilter-persistent", "nftables.service", "ufw")


@dataclass(frozen=True)
class Neighbours:
    """What else filters a machine's packets; it changes nothing, and is told to the person.

    `needs` says what must be let in, as "TCP 3000 from 10.1.3.1".
    """

    needs: str
    key: str = "neighbours"

    def probe(self) -> str:
        """Print what is active; ufw's unit tells that of the last boot, and ufw.conf of now."""
        # systemd keeps such a link for each active unit: nothing has to be asked.
        asks = [
            f"[ ! -L /run/systemd/units/invocation:{unit} ] || echo {name}"
            for unit, name in FILTERS.items()
        ]
        ufw = (
            "[ ! -e /etc/ufw/ufw.conf ] || ! grep -qi '^ENABLED=yes' /etc/ufw/ufw.conf || echo ufw"
        )
        return "\n".join([*asks, ufw])

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Change nothing."""
        return None

    def notes(self, facts: str) -> Sequence[str]:
        """Return what the person should know."""
        found = facts.split()
        if not found:
            return ()
        closing = [name for name in found if name in CLOSING]
        must = f"; {' and '.join(closing)} must let in {self.needs}" if closing else ""
        return (f"{', '.join(found)} found, and left as it is{must}",)
