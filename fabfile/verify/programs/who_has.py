"""Which network cards say that an address is theirs, asked by ARP as anybody on the network does.

Sources: RFC 826; packet(7), whose socket takes no more than the packets of its protocol.
"""

from __future__ import annotations

import select
import socket
import struct
import time

SECONDS = 1.0
ARP, IPV4, ETHERNET, REQUEST, REPLY = 0x0806, 0x0800, 1, 1, 2


def main(given: tuple[str, str, str]) -> list[str]:
    """Return the hardware addresses that answer: (interface, own address, address)."""
    interface, own, address = given
    found = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ARP)) as one:
        one.bind((interface, ARP))
        card = one.getsockname()[4]
        one.send(b"\xff" * 6 + card + struct.pack("!H", ARP) + request(card, own, address))
        end = time.monotonic() + SECONDS
        while (left := end - time.monotonic()) > 0:
            if select.select([one], [], [], left)[0]:
                found.add(answer(one.recv(2048)[14:], address))
    return sorted(found - {""})


def request(card: bytes, own: str, address: str) -> bytes:
    """Return the question who has an address."""
    head = struct.pack("!HHBBH", ETHERNET, IPV4, 6, 4, REQUEST)
    return head + card + socket.inet_aton(own) + bytes(6) + socket.inet_aton(address)


def answer(packet: bytes, address: str) -> str:
    """Return the hardware address that a packet says has the address, "" when it says none."""
    if len(packet) < 28 or struct.unpack("!H", packet[6:8])[0] != REPLY:
        return ""
    if packet[14:18] != socket.inet_aton(address):
        return ""
    return packet[8:14].hex(":")
