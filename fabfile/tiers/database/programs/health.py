"""A plain HTTP request to an app server's health path."""

from __future__ import annotations

import socket
from typing import TypedDict

SECONDS = 5


class Given(TypedDict):
    """Whom to ask for what."""

    address: str
    port: int
    path: str


def main(given: Given) -> str:
    """Return the first line of the answer."""
    with socket.create_connection((given["address"], given["port"]), SECONDS) as connection:
        connection.sendall(f"GET {given['path']} HTTP/1.0\r\n\r\n".encode())
        line = connection.makefile("rb").readline(4096)
    if not line:
        raise SystemExit(f"{given['address']}:{given['port']} hung up without an answer")
    return line.decode(errors="replace").strip()
