#!/usr/bin/python3
"""Tells who asks by HTTP whether a volume answers: `mount_health.py DIRECTORY PORT ADDRESS ...`.

The answer is 200 as long as something is mounted on the directory, and what is mounted answers. As
long as that hangs there is no answer: the balancer does not wait for it for ever.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from contextlib import suppress

# Whoever asks for a volume that hangs is stuck: no more of them.
ASKING = 16
SECONDS, LONGEST = 5, 8192
IP_FREEBIND = 15  # ip(7); Python has no name for it. The address may come later than we do.
HEAD_ENDS = b"\r\n\r\n"
ANSWER = "HTTP/1.0 {}\r\nContent-Length: 0\r\n\r\n"


def status(directory: str) -> str:
    """Return the status to answer with."""
    with suppress(OSError):
        # The servers of the volume answer that, and no cache does.
        os.statvfs(directory)
        if os.path.ismount(directory):
            return "200 OK"
    return "503 Service Unavailable"


def answer(connection: socket.socket, directory: str, free: threading.Semaphore) -> None:
    """Answer one request."""
    try:
        with suppress(OSError), connection:
            connection.settimeout(SECONDS)
            head = b""
            # An answer before the end of the request may be lost.
            while HEAD_ENDS not in head and len(head) < LONGEST:
                received = connection.recv(LONGEST)
                if not received:
                    return
                head += received
            connection.sendall(ANSWER.format(status(directory)).encode())
    finally:
        free.release()


def serve(listener: socket.socket, directory: str, free: threading.Semaphore) -> None:
    """Answer all requests, each in a thread of its own."""
    while True:
        connection, _ = listener.accept()
        if free.acquire(blocking=False):
            asked = (connection, directory, free)
            threading.Thread(target=answer, args=asked, daemon=True).start()
        else:
            connection.close()


def listening(address: str, port: int) -> socket.socket:
    """Return a socket that listens there, also before the machine has the address."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    listener.bind((address, port))
    listener.listen()
    return listener


def main(directory: str, port: str, *addresses: str) -> None:
    """Serve on all addresses, until one of them fails."""
    free = threading.BoundedSemaphore(ASKING)
    failed = threading.Event()

    def served(listener: socket.socket) -> None:
        try:
            serve(listener, directory, free)
        finally:
            failed.set()

    for address in addresses:
        listener = listening(address, int(port))
        threading.Thread(target=served, args=(listener,), daemon=True).start()
    failed.wait()
    raise SystemExit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
