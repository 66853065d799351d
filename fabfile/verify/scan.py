"""The port scan, as a program for the client's own Python: nothing is installed there.

Debian's python3-minimal runs it, which has no json and no resource module.
"""

from __future__ import annotations

# Sockets open at the same time; what ulimit must allow for it is a little more.
SIZE = 19000

PROGRAM = """
import errno, select, socket, time

def way(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return ""
        return probe.getsockname()[0]

def batch(targets):
    poll, sockets, found = select.epoll(), {}, []
    for address, port in targets:
        one = socket.socket()
        one.setblocking(False)
        code = one.connect_ex((address, port))
        if code == errno.EINPROGRESS:
            sockets[one.fileno()] = one, address, port
            poll.register(one, select.EPOLLOUT)
        else:
            if not code:
                found.append(f"{address}:{port}")
            one.close()
    deadline = time.monotonic() + 1
    while sockets and time.monotonic() < deadline:
        for number, _ in poll.poll(max(0.001, deadline - time.monotonic())):
            one, address, port = sockets.pop(number)
            if not one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                found.append(f"{address}:{port}")
            one.close()
    for one, _, _ in sockets.values():
        one.close()
    poll.close()
    return found

def udp(targets):
    sockets, heard = {}, []
    for address, port in targets:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.connect((address, port))
        try:
            one.send(b"\\0" * 48)
            sockets[one] = f"{address}:{port}"
        except OSError:
            one.close()
    deadline = time.monotonic() + 1
    while sockets and time.monotonic() < deadline:
        ready = select.select(list(sockets), [], [], max(0, deadline - time.monotonic()))[0]
        for one in ready:
            # An ICMP error is an answer as well: the datagram came through.
            heard.append(sockets.pop(one))
            one.close()
    return heard

given = GIVEN
skipped = [each for each in given["every"] if given["avoid"] and way(each) == given["avoid"]]
reached = [each for each in given["every"] if each not in skipped]
heard = udp([(each, port) for each in reached for port in given["udp"]])
targets = [(each, port) for each in reached if each not in given["whole"]
           for port in given["ports"]]
targets += [(each, port) for each in given["whole"] for port in range(1, 65536)]
found = []
for start in range(0, len(targets), SIZE):
    found += batch(targets[start:start + SIZE])
print(repr({"open": found, "tried": len(targets), "skipped": skipped, "udp": heard}))
"""


def program(
    whole: list[str], every: list[str], ports: list[int], udp: list[int], avoid: str
) -> str:
    """Answer a Python program that prints, as a Python literal, what answers it.

    It tries all TCP ports of the addresses `whole`, and `ports` and the UDP ports `udp` of all
    others in `every`; addresses it would reach from its own address `avoid` are skipped and said.
    """
    given = {"whole": whole, "every": every, "ports": ports, "udp": udp, "avoid": avoid}
    return f"GIVEN = {given!r}\nSIZE = {SIZE}\n{PROGRAM}"
