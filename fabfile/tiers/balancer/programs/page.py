"""A page of a balancer at one of its addresses, whatever others there are."""

from __future__ import annotations

import socket

SECONDS = 5


def main(given: tuple[str, int, str, str]) -> tuple[str, str]:
    """Return status and answering server: (address, port, page, host)."""
    address, port, page, host = given
    request = f"GET {page} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    with socket.create_connection((address, port), SECONDS) as one:
        one.sendall(request.encode())
        head = b""
        while b"\r\n\r\n" not in head and (data := one.recv(65536)):
            head += data
    first, *lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    names = [line.partition(":")[2] for line in lines if line.lower().startswith("x-served-by:")]
    return [*first.split(" ", 2), "", ""][1], "".join(names).strip()
