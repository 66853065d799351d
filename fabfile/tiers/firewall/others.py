"""Rules of others on the firewall, which loading ours would flush."""

from __future__ import annotations

from collections.abc import Set

from fabfile.engine.change import Change, Refused
from fabfile.engine.resources import Run

# Chains of ours, and whose others are, by how they begin.
OURS = "SPOOFED"
KEPT = "/etc/fw/fw.fw.kept"
OWNERS = {
    "DOCKER": "Docker",
    "KUBE-": "Kubernetes",
    "LIBVIRT": "libvirt",
    "f2b-": "fail2ban",
    "ts-": "Tailscale",
    "ufw": "ufw",
}


class Rules(Run):
    """What loads our rules, unless others have some in the tables that ours take the place of.

    Rules in other tables, as those of nft, stay: ours do not touch them.
    """

    def probe(self) -> str:
        """Print as ever, and where ours are not loaded, chains and rules that are others'."""
        # What was kept once, or is being tried, is ours.
        return (
            f"loaded=$(\n{super().probe()}\n)\n"
            'echo "$loaded"\n'
            "case $loaded in *done*) ;; *) for tables in iptables ip6tables; do\n"
            "  rules=$($tables -S) || continue\n"
            f"  echo \"$rules\" | sed -n 's/^-N /chain /p' | grep -vx 'chain {OURS}'\n"
            f"  [ -e {KEPT} ] || [ -e /run/fw-held ] ||\n"
            "    echo \"$rules\" | sed -n 's/^-A /rule -A /p'\n"
            "done ;; esac"
        )

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Load ours; raises Refused when somebody else has rules there."""
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
        return super().plan(facts, changed)
