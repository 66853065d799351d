"""Whether two firewalls would do the same; of a single one, the scan of the perimeter tells all."""

from __future__ import annotations

import re
import socket
from contextlib import closing

from fabfile.engine.waiting import wait_until
from fabfile.scenario import Machine
from fabfile.tiers.firewall import TIER, pair
from fabfile.tiers.firewall.state import SCRIPT
from fabfile.verify.check import Check, Site, judged, together

CONNECT_SECONDS = 5
# What the other one must have learned by then.
TOLD_SECONDS = 5
# As who opened it sees it, which comes first.
CONNECTION = re.compile(r"^.*?src=(\S+) dst=\S+ sport=(\d+)", re.M)


def checks(site: Site) -> list[Check]:
    """Check that both have the same rules and know the same connections; none for one."""
    if TIER.name not in site.scenario.floating:
        return []
    names = " and ".join(each.name for each in site.scenario.tier(TIER.name))
    return [
        judged(f"perimeter: {names} have the same rules loaded", lambda: _rules(site)),
        judged(f"internet: {names} both know the users' connections", lambda: _known(site)),
    ]


def _rules(site: Site) -> tuple[bool, str]:
    def loaded(machine: Machine) -> tuple[str, list[str]]:
        status = site.run(machine.name, f"{SCRIPT} status").strip().rpartition(": ")[2]
        shown = site.run(machine.name, "ip -o -4 addr; iptables -S; ip6tables -S")
        return status, _rules_of(site, machine, shown.splitlines())

    found = together(site.scenario.tier(TIER.name), loaded)
    (first, *others) = (rules for _, rules in found.values())
    differing = sorted({line for other in others for line in {*first} ^ {*other}})
    seen = "; ".join(f"{name}: {status}" for name, (status, _) in found.items())
    if differing:
        seen += f"; not on both: {', '.join(differing[:3])}"
    return all(status == "loaded" for status, _ in found.values()) and not differing, seen


def _rules_of(site: Site, machine: Machine, lines: list[str]) -> list[str]:
    """Return the rules that both must have: with networks for interfaces, without the peer's."""
    peers = [str(each) for each in pair.other(site.scenario, machine).addresses.values()]
    answer = [
        line for line in lines if line[:1] == "-" and not any(f" {p}/" in line for p in peers)
    ]
    names = {
        line.split()[1]: network
        for network, address in machine.addresses.items()
        for line in lines
        if f" inet {address}/" in line
    }
    return [
        re.sub(r"(?<= -[io] )\S+", lambda name: names.get(name[0], name[0]), line)
        for line in answer
    ]


def _known(site: Site) -> tuple[bool, str]:
    """Open a connection, and look whether the one that does not forward knows all that last."""
    scenario = site.scenario
    members = scenario.tier(TIER.name)
    address = scenario.floating[TIER.name][scenario.inner]
    having = [m for m in members if site.run(m.name, f"ip -o -4 addr show to {address}/32")]
    if len(having) != 1:
        return False, f"{address} is on {len(having)} of them"
    (one,) = having
    other = pair.other(scenario, one)
    known, missing = 0, set[tuple[str, str]]()

    def told(_left: float) -> bool:
        nonlocal known, missing
        before, there = _established(site, one), _established(site, other)
        lasting = before & _established(site, one)
        known, missing = len(lasting), lasting - there
        return known > 0 and not missing

    port = scenario.ports["http"]
    with closing(socket.create_connection((scenario.entry, port), CONNECT_SECONDS)):
        wait_until(told, TOLD_SECONDS, 0.2)
    seen = f"{other.name} knows {known - len(missing)} of {known} that go through {one.name}"
    return known > 0 and not missing, seen


def _established(site: Site, machine: Machine) -> set[tuple[str, str]]:
    """Return who has a connection to the balancer that a firewall knows: address and port."""
    listed = f"conntrack -L -p tcp --state ESTABLISHED --orig-dst {site.scenario.entry} 2>/dev/null"
    return {(one[1], one[2]) for one in CONNECTION.finditer(site.run(machine.name, listed))}
