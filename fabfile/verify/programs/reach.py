"""Which TCP ports accept a connection, tried all at once. Runs on machines that have any Python."""

import errno
import select
import socket
import time

SECONDS = 1.5
# As many attempts as a process may have sockets, on a machine with the usual limit of 1024.
AT_ONCE = 500


def main(targets: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return those of the (address, port) pairs that accept."""
    accepted = []
    for start in range(0, len(targets), AT_ONCE):
        accepted += tried(targets[start : start + AT_ONCE])
    return accepted


def tried(targets: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return those that accept within the time."""
    poll, waiting, accepted = select.epoll(), {}, []
    for target in targets:
        one = socket.socket()
        one.setblocking(False)
        code = one.connect_ex(target)
        if code == 0:
            accepted.append(target)
        if code != errno.EINPROGRESS:
            one.close()
            continue
        waiting[one.fileno()] = one, target
        poll.register(one, select.EPOLLOUT)
    end = time.monotonic() + SECONDS
    while waiting and time.monotonic() < end:
        for number, _ in poll.poll(max(0, end - time.monotonic())):
            one, target = waiting.pop(number)
            if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                accepted.append(target)
            one.close()
    for one, _ in waiting.values():
        one.close()
    return accepted
