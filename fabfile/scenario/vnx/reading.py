"""Reads one VNX file into data.

Real files break VNX's schema, so they are not validated by it: what is understood is taken, what
is not is noted, and what cannot be right is a sentence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from fabfile.scenario.vnx.names import VnxError, management_address, shown

# What says nothing that the scenario needs: how VNX starts and shows a machine.
SILENT = {"filesystem", "console", "mem", "vcpu", "type", "arch", "forwarding", "if", "route"}


@dataclass
class Notes:
    """What is not taken over, each sentence with the machines that it is true of."""

    machines: dict[str, list[str]] = field(default_factory=dict)

    def add(self, sentence: str, machine: str = "") -> None:
        """Note a sentence, of a machine or of the file."""
        names = self.machines.setdefault(sentence, [])
        if machine and machine not in names:
            names.append(machine)

    def lines(self) -> list[str]:
        """Return a line for each sentence."""
        return [
            f"{', '.join(names)}: {sentence}" if names else sentence
            for sentence, names in self.machines.items()
        ]


@dataclass(frozen=True)
class Interface:
    """A numbered interface of a machine, or of the host, where it has no number."""

    network: str
    address: IPv4Interface
    number: int = 0


@dataclass(frozen=True)
class VirtualMachine:
    """A machine as its file describes it; `shared` is the first directory it has of the host."""

    name: str
    management: IPv4Address
    interfaces: tuple[Interface, ...]
    routes: dict[IPv4Network, IPv4Address]
    shared: str = ""


@dataclass(frozen=True)
class VnxFile:
    """What a file says; `host` is the person's own computer."""

    file: str
    name: str
    management: IPv4Network
    networks: tuple[str, ...]
    machines: tuple[VirtualMachine, ...]
    host: VirtualMachine
    notes: Notes


def read(path: Path) -> VnxFile:
    """Return what a file says; raises VnxError with every mistake in it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise VnxError([f"{path} cannot be read: {error.strerror}."]) from None
    return _Reader(path.name, _tree(path.name, data)).file()


def _tree(name: str, data: bytes) -> ElementTree.Element:
    """Return the root of a document without entities of its own; raises VnxError."""

    def refuse(*_: object) -> None:
        raise VnxError([f"{name} declares entities, which a scenario does not need; remove them."])

    parser = expat.ParserCreate()
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
        root = ElementTree.fromstring(data)
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise VnxError([f"{name} is not well-formed XML: {shown(str(error))}."]) from None
    if root.tag != "vnx":
        raise VnxError(
            [f"{name} begins with <{shown(root.tag)}>; a scenario of VNX begins with <vnx>."]
        )
    return root


class _Reader:
    """Reads a document; what is wrong is gathered, to be said at once."""

    def __init__(self, file: str, root: ElementTree.Element) -> None:
        self._file, self._root = file, root
        self._mistakes: list[str] = []
        self._notes = Notes()

    def file(self) -> VnxFile:
        """Return what the document says; raises VnxError."""
        network, offset = self._management()
        machines, names = [], set()
        for index, element in enumerate(self._root.findall("vm")):
            name = shown(element.get("name")).lower()
            if not name or name in names:
                self._wrong(f"machine {index + 1} has {'the name of another' if name else 'none'}")
            names.add(name)
            try:
                address = management_address(network, offset, index)
            except ValueError as error:
                self._wrong(f"vm_mgmt {error}")
                break
            machines.append(self._machine(name, address, element))
        host = self._root.find("host")
        host = ElementTree.Element("host") if host is None else host
        read = VnxFile(
            self._file,
            shown(self._root.findtext("global/scenario_name")),
            network,
            tuple(shown(each.get("name")) for each in self._root.findall("net")),
            tuple(machines),
            self._machine("control", network.network_address + offset + 1, host),
            self._notes,
        )
        if self._mistakes:
            raise VnxError(self._mistakes)
        return read

    def _wrong(self, sentence: str) -> None:
        self._mistakes.append(f"{self._file}: {sentence}.")

    def _management(self) -> tuple[IPv4Network, int]:
        """Return the range of the machines' management networks, and where in it they begin."""
        element = self._root.find("global/vm_mgmt")
        given = {} if element is None else element.attrib
        if given.get("type") != "private":
            self._wrong(
                f"vm_mgmt is of type {shown(given.get('type')) or 'none'}, so that nobody could "
                'log in on its machines; say type="private" with network, mask and offset'
            )
            return IPv4Network("10.250.0.0/16"), 0
        try:
            network = IPv4Network(f"{given.get('network')}/{_mask(given.get('mask', '24'))}")
            offset = int(given.get("offset", "0"))
            if offset < 0:
                raise ValueError(f"offset {offset} is negative")
        except ValueError as error:
            self._wrong(f"vm_mgmt has {shown(str(error))}")
            return IPv4Network("10.250.0.0/16"), 0
        return network, offset

    def _machine(
        self, name: str, management: IPv4Address, element: ElementTree.Element
    ) -> VirtualMachine:
        interfaces = tuple(self._interfaces(name, element))
        self._note_others(name, element)
        shared = element.find("shareddir")
        return VirtualMachine(
            name,
            management,
            interfaces,
            self._routes(name, element, interfaces),
            "" if shared is None else shown(shared.get("root")),
        )

    def _interfaces(self, name: str, element: ElementTree.Element) -> Iterator[Interface]:
        seen, numbers = set(), set()
        for each in [*element.findall("if"), *element.findall("hostif")]:
            network, number = shown(each.get("net")), each.get("id", "0")
            where = f"eth{shown(number)} on {network}" if each.tag == "if" else network
            texts = [(shown(ip.text), ip.get("mask", "24")) for ip in each.findall("ipv4")]
            if not texts or texts[0][0].lower() == "dhcp":
                why = "it gets its address by DHCP" if texts else "it has no IPv4 address"
                self._notes.add(f"{where} is left out: {why}; packages come by {_MANAGEMENT}", name)
                continue
            if len(texts) > 1 or network in seen:
                self._notes.add(
                    f"{where} has more addresses on {network}: the first is taken", name
                )
            if network in seen:
                continue
            seen.add(network)
            text, mask = texts[0]
            try:
                address = IPv4Interface(text if "/" in text else f"{text}/{_mask(mask)}")
                # 0 is management's, which VNX makes itself.
                if not number.isdecimal() or (each.tag == "if") != (int(number) > 0):
                    raise ValueError(f"id {shown(number)!r}, it must be 1 or more")
                if each.tag == "if" and number in numbers:
                    raise ValueError(f"id {number}, which another one has")
            except ValueError as error:
                self._wrong(f"{name}: {where} has {shown(str(error))}")
            else:
                numbers.add(number)
                yield Interface(network, address, int(number))

    def _routes(
        self, name: str, element: ElementTree.Element, interfaces: tuple[Interface, ...]
    ) -> dict[IPv4Network, IPv4Address]:
        routes = {}
        for each in element.findall("route"):
            text, gateway = shown(each.text), shown(each.get("gw"))
            if each.get("type", "ipv4") != "ipv4":
                self._notes.add(f"the route to {text} is left out: only IPv4 is spoken", name)
                continue
            try:
                to = IPv4Network("0.0.0.0/0" if text == "default" else text, strict=False)
                via = IPv4Address(gateway)
            except ValueError as error:
                self._wrong(f"{name}: its route is {shown(str(error))}")
                continue
            if any(via in interface.address.network for interface in interfaces):
                routes[to] = via
            else:
                self._notes.add(
                    f"the route to {to} is left out: its gateway {via} is on none of its networks",
                    name,
                )
        return routes

    def _note_others(self, name: str, element: ElementTree.Element) -> None:
        for each in element:
            if each.tag == "exec":
                self._notes.add(f"not run: {shown(each.text)}", name)
            elif each.tag == "filetree":
                to = shown(each.get("root"))
                self._notes.add(f"not copied: {shown(each.text)} to {to}", name)
            elif each.tag not in {*SILENT, "shareddir", "hostif"} and isinstance(each.tag, str):
                self._notes.add(f"<{shown(each.tag)}> is not read", name)


_MANAGEMENT = "the management network"


def _mask(text: str) -> str:
    """Return a mask as a length or as an address: VNX takes "24", "/24" and "255.255.255.0"."""
    return text.strip().removeprefix("/")
