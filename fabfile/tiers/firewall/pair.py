"""Two firewalls that share their addresses: both know the connections that go through either.

conntrackd tells the other one of each, which has it in its own kernel from then on: whichever has
the addresses knows them, and nothing need be done to take them over. With one firewall, there is
nothing of it.
"""

from __future__ import annotations

from pathlib import Path

from fabfile.engine.change import Resource
from fabfile.engine.resources import Packages, Run, Service
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.firewall import TIER
from fabfile.tiers.floating import Works, sharing
from fabfile.tiers.floating import view as role
from fabfile.tiers.templates import template
from fabfile.tiers.tier import View

LIBRARY = (Path(__file__).parent / "pair.sh").read_text()
UNIT = "conntrackd.service"
CONFIGURATION = "/etc/conntrackd/conntrackd.conf"
# Written at each start, with the name of the interface.
READ = "/run/fw-conntrackd.conf"
DROP_IN = "/etc/systemd/system/conntrackd.service.d/crm.conf"
PROGRAM = "/usr/local/lib/crm-deployer/fw-connections"
WORKS = "/usr/local/lib/crm-deployer/fw-works"
# By RFC 9568, section 5.1.1.3, what came from another network is dropped.
VRRP = "112 -m ttl --ttl-eq 255"
(PORT,) = {each.numbers[0] for each in TIER.listens if each.name == "connections"}


def let_in(scenario: Scenario, machine: Machine) -> list[tuple[str, str, str]]:
    """Return what the other firewall may say to a machine: interface, its address, protocol."""
    if TIER.name not in scenario.floating:
        return []
    addresses = other(scenario, machine).addresses
    outer, inner = str(addresses[scenario.outer(machine)]), str(addresses[scenario.inner])
    return [
        ("lan_outside", outer, VRRP),
        ("lan_inside", inner, VRRP),
        ("lan_inside", inner, f"udp -m udp --dport {PORT}"),
    ]


def other(scenario: Scenario, machine: Machine) -> Machine:
    """Return the firewall that shares its addresses with a machine."""
    (found,) = (each for each in scenario.tier(TIER.name) if each.name != machine.name)
    return found


def shared(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say how two firewalls share their addresses: who has them forwards, as its rules allow."""
    judged = Works(WORKS, after=f"fw.service {UNIT}", taken=f"{PROGRAM} taken")
    found = sharing(scenario, machine, TIER.name, judged)
    if TIER.name not in scenario.floating:
        there = f"[ -e {CONFIGURATION} ] && grep -qs '^# Written by the deployer' {CONFIGURATION}"
        told = f"{LIBRARY}stop_telling"
        return [
            *found,
            Run("stop telling of open connections", told, unless=f"! {{ {there}; }}"),
        ]
    return [template(WORKS, mode=0o755), *_known_to_both(scenario, machine), *found]


def _known_to_both(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say how the other one learns of connections, on the network of the balancers."""
    peer = other(scenario, machine)
    program = template(
        PROGRAM,
        mode=0o755,
        configuration=CONFIGURATION,
        read=READ,
        address=str(scenario.floating[TIER.name][scenario.inner]),
    )
    drop_in = template(DROP_IN, program=PROGRAM, read=READ)
    configuration = template(
        CONFIGURATION,
        machine=machine,
        own=str(machine.addresses[scenario.inner]),
        peer=str(peer.addresses[scenario.inner]),
        port=PORT,
        entry=scenario.entry,
    )
    restart = (program.key, drop_in.key, configuration.key)
    return [
        Packages("conntrackd", "conntrack"),
        program,
        drop_in,
        configuration,
        Service(UNIT, restart=restart),
    ]


def view(scenario: Scenario, machine: Machine) -> View:
    """Return what `status` shows of a machine that shares the addresses: whether it has them."""
    seen = role(scenario, machine, TIER.name)
    return View((*seen.units, UNIT), seen.shell) if seen.units else seen
