"""The port scan, as a program for the client's own Python: nothing is installed there.

Debian's python3-minimal runs it, which has no json and no resource module.
"""

from __future__ import annotations

# A SYN segment (RFC 9293 section 3.1) to each port, and what comes back: an acceptance, or a
# refusal, which is an answer, too. After each chunk of them comes a SYN to the one port that is
# known to be open: its answer says that the chunk went its way and no queue has dropped it.
# Bound to the client's interface, with routes through the firewall to every network for the time
# of the scan, so that no other way of the client's (such as its management) is taken.
PROGRAM = """
import os, select, socket, struct, subprocess, time

given = GIVEN
CHUNK, LIMIT = 512, 1.0
own, port = socket.inet_aton(given["source"]), 20000 + os.getpid() % 20000
SYN, RST, ACK = 2, 4, 16

def words(packed):
    return sum(struct.unpack(f"!{len(packed) // 2}H", packed))

def segment(to, source, target):
    total = words(own) + words(to) + 6 + 20 + source + target + 0x5002 + 1024
    total = (total >> 16) + (total & 0xFFFF)
    total += total >> 16
    return struct.pack("!HHIIHHHH", source, target, 0, 0, 0x5002, 1024, ~total & 0xFFFF, 0)

def on_lan(family, kind, protocol=0):
    one = socket.socket(family, kind, protocol)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, given["interface"].encode())
    one.setblocking(False)
    return one

def received(one, until):
    while select.select([one], [], [], max(0, until - time.monotonic()))[0]:
        packet = one.recv(256)
        start = (packet[0] & 15) * 4
        source, to = struct.unpack("!HH", packet[start:start + 4])
        yield socket.inet_ntoa(packet[12:16]), source, to, packet[start + 13]

def sent(one, to, source, target):
    packed = socket.inet_aton(to)
    try:
        one.sendto(segment(packed, source, target), (to, 0))
    except BlockingIOError:
        select.select([], [one], [], LIMIT)
        one.sendto(segment(packed, source, target), (to, 0))

def chunk(one, targets, control):
    for to, target in targets:
        sent(one, to, port, target)
    sent(one, given["open"][0], control, given["open"][1])
    for address, source, to, flags in received(one, time.monotonic() + LIMIT):
        note(address, source, to, flags)
        if to == control:
            return True
    return False

accepted, refused = set(), set()

def note(address, source, to, flags):
    if to == port:
        (refused if flags & RST else accepted).add(f"{address}:{source}")

def tcp(targets):
    one = on_lan(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    one.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE of socket(7)
    controls = iter(range(port + 1, 65536))
    for start in range(0, len(targets), CHUNK):
        if not any(chunk(one, targets[start:start + CHUNK], next(controls)) for _ in range(3)):
            raise SystemExit("{}:{} did not answer three times".format(*given["open"]))
    for late in received(one, time.monotonic() + LIMIT):
        note(*late)

def heard(family, kind, targets):
    names, answers, poll = {}, [], select.epoll()
    scope = (0, socket.if_nametoindex(given["interface"])) if family == socket.AF_INET6 else ()
    for to, target in targets:
        one = on_lan(family, kind)
        if one.connect_ex((to, target, *scope)) == 0:
            one.send(bytes(48))
        names[one.fileno()] = one, f"{to}:{target}"
        poll.register(one, select.EPOLLIN | (select.EPOLLOUT if kind == socket.SOCK_STREAM else 0))
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        for number, _ in poll.poll(max(0, end - time.monotonic())):
            one, name = names[number]
            poll.unregister(one)
            # A refusal is an answer as well; that there is no such neighbour (113) is none.
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 113:
                answers.append(name)
    return answers

def route(action, network):
    words = ["ip", "route", action, network, "via", given["gateway"], "dev", given["interface"]]
    # Routes of its own: another scan that ends meanwhile takes away none of them.
    metric = str(4000 + os.getpid() % 20000)
    return subprocess.run([*words, "metric", metric], capture_output=True).returncode

try:
    for network in given["networks"]:
        if route("replace", network):
            raise SystemExit(f"no route to {network} could be set")
    targets = [(to, each) for to, ports in given["tcp"] for each in ports]
    tcp(targets)
    udp = heard(socket.AF_INET, socket.SOCK_DGRAM, given["udp"])
    ipv6 = heard(socket.AF_INET6, socket.SOCK_STREAM, given["ipv6"])
    ipv6 += heard(socket.AF_INET6, socket.SOCK_DGRAM, given["ipv6"])
finally:
    for network in given["networks"]:
        route("delete", network)
print(repr({"open": sorted(accepted), "refused": sorted(refused), "tried": len(targets),
            "udp": udp, "ipv6": ipv6}))
"""


def program(**given: object) -> str:
    """Return a Python program that prints, as a Python literal, what answers it.

    It is given `source`, `interface` and `gateway` of the client, the `networks` (ranges) behind
    the gateway, the one (address, port) that is `open`, and what to try: `tcp` as (address, ports)
    pairs, `udp` and `ipv6` as (address, port) pairs. It must run as root.
    """
    return f"GIVEN = {given!r}\n{PROGRAM}"
