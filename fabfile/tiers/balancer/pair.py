"""Two balancers that share an address: whichever has it, the users notice no difference."""

from __future__ import annotations

from pathlib import Path

from fabfile.scenario import Machine
from fabfile.tiers.balancer.haproxy import DRAIN, LIBRARY, MAINTENANCE
from fabfile.verify.check import Check, Site, judged, together

PAGE = Path(__file__).parent / "programs/page.py"


def checks(site: Site) -> list[Check]:
    """Check that both balancers know the same, and that each of them answers; none for one."""
    if "balancer" not in site.scenario.floating:
        return []
    names = " and ".join(each.name for each in site.scenario.balancers)
    return [
        judged(f"internet: {names} give requests to the same servers", lambda: _same(site)),
        judged(f"internet: {names} answer, with the shared address or without", lambda: _own(site)),
    ]


def _same(site: Site) -> tuple[bool, str]:
    def servers(machine: Machine) -> list[str]:
        text = site.run(machine.name, f"{LIBRARY}states; statuses | sed 's/^/status /'")
        return sorted(map(_server, text.splitlines()))

    found = together(site.scenario.balancers, servers)
    (_, first), *others = found.items()
    differing = {f"{name}: {line}" for name, lines in others for line in {*lines} ^ {*first}}
    if differing:
        return False, "; ".join(sorted(differing))
    up = [line.split()[1] for line in first if line.startswith("status ") and "UP" in line]
    return bool(up), f"{', '.join(up) or 'none'} up on both"


def _server(line: str) -> str:
    """Return a line without what only tells how a server came to be as it is."""
    *words, last = line.split()
    if words[0] == "status":
        return line
    return " ".join([*words, str(int(last) & (MAINTENANCE | DRAIN))])


def _own(site: Site) -> tuple[bool, str]:
    """Ask each at its own address, from the other one."""
    scenario = site.scenario
    (network, shared), *_ = scenario.floating["balancer"].items()
    page = scenario.application.health[0]

    def asked(machine: Machine) -> str:
        (peer, *_) = scenario.peers(machine)
        given = (str(machine.addresses[network]), scenario.ports["http"], page, str(shared))
        status, server = site.program(peer.name, PAGE, given)
        return f"{machine.name} {status} by {server or 'nobody'}"

    found = together(scenario.balancers, asked)
    well = all(" 200 by " in text and "nobody" not in text for text in found.values())
    return well, "; ".join(found.values())
