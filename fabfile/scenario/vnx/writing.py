"""Writes a scenario as a file of VNX."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from fabfile.scenario.model import Scenario
from fabfile.scenario.parts import MANAGEMENT, Machine
from fabfile.scenario.vnx.merging import BRICK
from fabfile.scenario.vnx.names import VnxError, management_address, tier_of

# Where the image of VNX's machines lies, seen from the scenario's file, as in the practice.
FILESYSTEM = "filesystems/rootfs_lxc64-cdps"
# The way to packages: an interface by DHCP on the network of libvirt, by habit of this number.
OUTSIDE, OUTSIDE_NUMBER = "virbr0", 9
NUMBERED = re.compile(r"eth([1-9]\d*)")


def exported(scenario: Scenario) -> tuple[str, list[str]]:
    """Return the text of a file of VNX, and a sentence for each thing that it cannot say.

    Raises VnxError for a scenario that VNX could not start.
    """
    machines = [machine for machine in scenario.machines if "control" not in machine.tiers]
    if MANAGEMENT not in scenario.networks:
        raise VnxError(["NETWORKS has no 'management', of which VNX makes its way in; add it."])
    offset, notes = _offset(scenario, machines)
    root = Element("vnx")
    _global(SubElement(root, "global"), scenario, offset)
    for name in scenario.networks:
        if name != MANAGEMENT:
            SubElement(root, "net", name=name, mode="virtual_bridge")
    SubElement(root, "net", name=OUTSIDE, mode="virtual_bridge", managed="no")
    if PurePosixPath(scenario.brick).name != PurePosixPath(BRICK).name:
        notes.append(f"The name of the bricks is lost, {scenario.brick}: VNX shares a directory.")
    if scenario.floating:
        notes.append(f"FLOATING is lost, what {' and '.join(scenario.floating)} share.")
    for machine in machines:
        _machine(SubElement(root, "vm", name=machine.name, type="lxc"), scenario, machine)
        if machine.tiers != (tier_of(machine.name),):
            notes.append(
                f"{machine.name}: its tier ({', '.join(machine.tiers)}) is lost: VNX has none, "
                "and its name does not say it."
            )
    for control in scenario.tier("control"):
        host = SubElement(root, "host")
        for network, address in control.addresses.items():
            if network != MANAGEMENT:
                interface = SubElement(host, "hostif", net=network)
                _text(interface, "ipv4", f"{address}/{scenario.networks[network].prefixlen}")
        _routes(host, control)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n', notes


def _offset(scenario: Scenario, machines: list[Machine]) -> tuple[int, list[str]]:
    """Return where the management networks begin; VNX numbers them by the order of machines."""
    network = scenario.networks[MANAGEMENT]
    first = machines[0].addresses.get(MANAGEMENT, network.network_address)
    own = int(first) - int(network.network_address) - 2
    for offset in (own, 0):
        try:
            given = [management_address(network, offset, i) for i in range(len(machines))]
        except ValueError as error:
            if not offset:
                raise VnxError([f"NETWORKS['management'] is too small: {error}."]) from None
            continue
        if offset >= 0 and given == [each.addresses.get(MANAGEMENT) for each in machines]:
            return offset, []
    others = "management addresses are others: VNX numbers them by the order of machines."
    return 0, [f"The {others}"]


def _global(element: Element, scenario: Scenario, offset: int) -> None:
    network = scenario.networks[MANAGEMENT]
    _text(element, "version", "2.0")
    _text(element, "scenario_name", scenario.name)
    _text(element, "ssh_key", "~/.ssh/id_rsa.pub")
    SubElement(element, "automac")
    management = SubElement(
        element,
        "vm_mgmt",
        type="private",
        network=str(network.network_address),
        mask=str(network.prefixlen),
        offset=str(offset),
    )
    SubElement(management, "host_mapping")


def _machine(element: Element, scenario: Scenario, machine: Machine) -> None:
    _text(element, "filesystem", FILESYSTEM).set("type", "cow")
    if "storage" in machine.tiers:
        directory = str(PurePosixPath(scenario.brick).parent)
        _text(element, "shareddir", f".{machine.name}").set("root", directory)
    numbers = _numbers(machine)
    for network, number in numbers.items():
        interface = SubElement(element, "if", id=str(number), net=network)
        prefix = scenario.networks[network].prefixlen
        _text(interface, "ipv4", f"{machine.addresses[network]}/{prefix}")
    outside = next(n for n in (OUTSIDE_NUMBER, *range(1, 256)) if n not in numbers.values())
    interface = SubElement(element, "if", id=str(outside), net=OUTSIDE)
    _text(interface, "ipv4", "dhcp")
    if "firewall" in machine.tiers:
        SubElement(element, "forwarding", type="ip")
    _routes(element, machine)


def _numbers(machine: Machine) -> dict[str, int]:
    """Return the number of each interface: its own where it is called by one, else a free one."""
    networks = [name for name in machine.addresses if name != MANAGEMENT]
    own = {name: NUMBERED.fullmatch(machine.interface(name)) for name in networks}
    numbers = {name: int(found[1]) for name, found in own.items() if found}
    free = (n for n in range(1, 256) if n not in {OUTSIDE_NUMBER, *numbers.values()})
    return {name: numbers[name] if name in numbers else next(free) for name in networks}


def _routes(element: Element, machine: Machine) -> None:
    for to, via in machine.routes.items():
        _text(element, "route", str(to)).attrib.update(type="ipv4", gw=str(via))


def _text(parent: Element, tag: str, text: str) -> Element:
    element = SubElement(parent, tag)
    element.text = text
    return element
