"""HAProxy's statistics, from its own socket. Source: HAProxy 2.6, management guide, 9.3."""

from __future__ import annotations

import socket

SECONDS = 5


def main(given: str) -> str:
    """Return the table as CSV that HAProxy gives at the socket of that path."""
    parts = []
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(SECONDS)
        one.connect(given)
        one.sendall(b"show stat\n")
        while data := one.recv(65536):
            parts.append(data)
    return b"".join(parts).decode()
