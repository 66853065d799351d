"""Rules of others on the firewall, which loading ours would flush."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from fabfile.engine.change import Change, Refused

# Chains of ours, and whose others are, by how they begin.
OURS = "SPOOFED"
OWNERS = {
    "DOCKER": "Docker",
    "KUBE-": "Kubernetes",
    "LIBVIRT": "libvirt",
    "f2b-": "fail2ban",
    "ts-": "Tailscale",
    "ufw": "ufw",
}


@dataclass(frozen=True)
class Others:
    """No rules of others in the tables that ours take the place of; it changes nothing.

    `script` loads ours. Rules in other tables, as those of nft, stay: ours do not touch them.
    """

    script: str
    key: str = "rules of others"

    def probe(self) -> str:
        """Print the chains of others, and rules that were there before ours ever were."""
        # What was kept once, or is being tried, is ours.
        return (
            "for tables in iptables ip6tables; do\n"
            f"  rules=$($tables -S) || continue\n"
            f"  echo \"$rules\" | sed -n 's/^-N /chain /p' | grep -vx 'chain {OURS}'\n"
            f"  [ -e {self.script}.kept ] || [ -e /run/fw-held ] ||\n"
            "    echo \"$rules\" | sed -n 's/^-A /rule -A /p'\n"
            "done"
        )

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Change nothing; raises Refused when somebody else has rules there."""
        lines = list(dict.fromkeys(facts.splitlines()))
        chains = [line.removeprefix("chain ") for line in lines if line.startswith("chain ")]
        rules = [line.removeprefix("rule ") for line in lines if line.startswith("rule ")]
        if chains:
            owners = dict.fromkeys(
                owner
                for begin, owner in OWNERS.items()
                for name in chains
                if name.startswith(begin)
            )
            whose = " and ".join(owners) or "others"
            raise Refused(
                f"it has chains of {whose} ({', '.join(chains[:4])}), which loading the rules of "
                "the firewall would flush; take that off this machine, whose packets this "
                "scenario alone filters, or its rules out of iptables' filter table"
            )
        if rules:
            raise Refused(
                f"it has rules of others ({'; '.join(rules[:2])}), which loading the rules of the "
                "firewall would flush; if nobody needs them, 'iptables -F' and 'ip6tables -F' "
                "there, and what loads them at boot must go, too"
            )
        return None
