"""The port scan: which ports answer a client. Must run as root on that client.

TCP: a SYN segment (RFC 9293 section 3.1) to each port, and what comes back: an acceptance, or a
refusal, which is an answer, too. After each chunk of them comes a SYN to the one port that is known
to be open: its answer says that the chunk went its way and no queue has dropped it.

All of it is bound to the client's interface, with routes through the firewall to every network for
the time of the scan, so that no other way of the client's (such as its management) is taken.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import TypedDict

CHUNK, LIMIT = 512, 1.0
SYN, RST = 2, 4
HEADER = "!HHIIHHHH"
# Its five words have no options behind them.
OFFSET_AND_FLAGS, WINDOW = 5 << 12 | SYN, 1024
SO_RCVBUFFORCE = 33  # socket(7); Python has no name for it
BUFFER = 8 << 20
ATTEMPTS = 3

Port = tuple[str, int]


class Given(TypedDict):
    """From where is scanned, and what.

    `source` and `interface` are the client's, `ways` are range -> gateway of what is behind these.
    `open` is the one port that answers. Of the addresses in `whole` all TCP ports are tried.
    """

    source: str
    interface: str
    ways: dict[str, str]
    open: Port
    whole: list[str]
    tcp: list[Port]
    udp: list[Port]
    ipv6: list[Port]


class Found(TypedDict):
    """What answered, each as "address:port"; `tried` counts the TCP ports."""

    tried: int
    open: list[str]
    refused: list[str]
    udp: list[str]
    ipv6: list[str]


def words(packed: bytes) -> int:
    """Return the sum of the 16-bit words, as a checksum takes them."""
    return sum(struct.unpack(f"!{len(packed) // 2}H", packed))


def segment(own: bytes, to: bytes, source: int, target: int) -> bytes:
    """Return a SYN segment between two packed addresses."""
    fields = (source, target, 0, 0, OFFSET_AND_FLAGS, WINDOW)
    bare = struct.pack(HEADER, *fields, 0, 0)
    # The pseudo header: both addresses, the protocol, and the length.
    total = words(own) + words(to) + socket.IPPROTO_TCP + len(bare) + words(bare)
    total = (total >> 16) + (total & 0xFFFF)
    total += total >> 16
    return struct.pack(HEADER, *fields, ~total & 0xFFFF, 0)


def taken_apart(packet: bytes) -> tuple[str, int, int, int]:
    """Return address and port of who sent an IPv4 packet, the port it came to, and its flags."""
    start = (packet[0] & 15) * 4
    source, to = struct.unpack("!HH", packet[start : start + 4])
    return socket.inet_ntoa(packet[12:16]), source, to, packet[start + 13]


def bound(interface: str, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """Return a socket that uses this interface only."""
    one = socket.socket(family, kind, protocol)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    one.setblocking(False)
    return one


class Syns:
    """SYN segments to many ports, and who has accepted or refused so far."""

    def __init__(self, given: Given) -> None:
        self.accepted: set[str] = set()
        self.refused: set[str] = set()
        self._own = socket.inet_aton(given["source"])
        self._open = given["open"]
        self._port = 20000 + os.getpid() % 20000
        self._socket = bound(
            given["interface"], socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP
        )
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)

    def scan(self, targets: Sequence[Port]) -> None:
        """Try all of them; ends the program when the open port falls silent."""
        controls = iter(range(self._port + 1, 65536))
        for start in range(0, len(targets), CHUNK):
            chunk = targets[start : start + CHUNK]
            if not any(self._went(chunk, next(controls)) for _ in range(ATTEMPTS)):
                address, port = self._open
                raise SystemExit(f"{address}:{port} did not answer three times")
        for _ in self._received():
            pass

    def _went(self, chunk: Sequence[Port], control: int) -> bool:
        """Send a chunk, and then from the port `control`; tell whether that got its answer."""
        for to, target in chunk:
            self._send(to, self._port, target)
        self._send(self._open[0], control, self._open[1])
        return any(to == control for to in self._received())

    def _send(self, to: str, source: int, target: int) -> None:
        packet = segment(self._own, socket.inet_aton(to), source, target)
        try:
            self._socket.sendto(packet, (to, 0))
        except BlockingIOError:
            select.select([], [self._socket], [], LIMIT)
            self._socket.sendto(packet, (to, 0))

    def _received(self) -> Iterator[int]:
        """Note what comes in; yield the port that each segment came to."""
        end = time.monotonic() + LIMIT
        while select.select([self._socket], [], [], max(0, end - time.monotonic()))[0]:
            address, source, to, flags = taken_apart(self._socket.recv(256))
            if to == self._port:
                (self.refused if flags & RST else self.accepted).add(f"{address}:{source}")
            yield to


def heard(interface: str, family: int, kind: int, targets: Sequence[Port]) -> list[str]:
    """Return the targets that answer to a datagram or to a connection."""
    sockets: dict[int, tuple[socket.socket, str]] = {}
    answers, poll = [], select.epoll()
    scope = (0, socket.if_nametoindex(interface)) if family == socket.AF_INET6 else ()
    awaited = select.EPOLLIN | (select.EPOLLOUT if kind == socket.SOCK_STREAM else 0)
    for to, target in targets:
        one = bound(interface, family, kind)
        if one.connect_ex((to, target, *scope)) == 0:
            one.send(bytes(48))
        sockets[one.fileno()] = one, f"{to}:{target}"
        poll.register(one, awaited)
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        for number, _ in poll.poll(max(0, end - time.monotonic())):
            one, name = sockets[number]
            poll.unregister(one)
            # A refusal is an answer as well; that there is no such neighbour is none.
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != errno.EHOSTUNREACH:
                answers.append(name)
    return answers


def route(action: str, network: str, given: Given) -> bool:
    """Set or remove the way to a network; tell whether that went well."""
    way = given["ways"][network]
    command = ["ip", "route", action, network, "via", way, "dev", given["interface"]]
    # Routes of its own: another scan that ends meanwhile takes away none of them.
    command += ["metric", str(4000 + os.getpid() % 20000)]
    return subprocess.run(command, capture_output=True).returncode == 0


def scanned(given: Given) -> Found:
    """Return what answers while the routes are there."""
    targets = [(address, port) for address in given["whole"] for port in range(1, 65536)]
    targets += given["tcp"]
    syns, interface = Syns(given), given["interface"]
    syns.scan(targets)
    ipv6 = heard(interface, socket.AF_INET6, socket.SOCK_STREAM, given["ipv6"])
    ipv6 += heard(interface, socket.AF_INET6, socket.SOCK_DGRAM, given["ipv6"])
    return {
        "tried": len(targets),
        "open": sorted(syns.accepted),
        "refused": sorted(syns.refused),
        "udp": heard(interface, socket.AF_INET, socket.SOCK_DGRAM, given["udp"]),
        "ipv6": ipv6,
    }


def main(given: Given) -> Found:
    """Set the routes, scan, and remove the routes again."""
    try:
        for network in given["ways"]:
            if not route("replace", network, given):
                raise SystemExit(f"no route to {network} could be set")
        return scanned(given)
    finally:
        for network in given["ways"]:
            route("delete", network, given)
