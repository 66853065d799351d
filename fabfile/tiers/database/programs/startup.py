"""The first packet of a PostgreSQL connection, and what the server answers before any password.

Source: PostgreSQL 15, "Message Formats".
"""

from __future__ import annotations

import socket
import struct
from typing import TypedDict

VERSION = 3 << 16
SECONDS = 5


class Given(TypedDict):
    """Whom to ask, and who wants in to which database."""

    address: str
    port: int
    user: str
    database: str


def packet(user: str, database: str) -> bytes:
    """Return the start-up packet: pairs of strings, ended by an empty one."""
    pairs = ("user", user, "database", database, "")
    body = struct.pack("!I", VERSION) + b"".join(each.encode() + b"\0" for each in pairs)
    return struct.pack("!I", len(body) + 4) + body


def main(given: Given) -> tuple[str, str]:
    """Return the kind of the first answer, such as "R" or "E", and its text in one line.

    The kind is "" when the way there is closed, or who listens there hangs up.
    """
    where = (given["address"], given["port"])
    try:
        connection = socket.create_connection(where, SECONDS)
    except TimeoutError:
        return "", f"no answer from {where[0]}:{where[1]}"
    except ConnectionResetError:
        return "", f"{where[0]}:{where[1]} hung up without an answer"
    with connection:
        stream = connection.makefile("rb")
        try:
            connection.sendall(packet(given["user"], given["database"]))
            head = stream.read(5)
        except ConnectionError:
            head = b""
        if len(head) < 5:
            return "", f"{where[0]}:{where[1]} hung up without an answer"
        kind, length = struct.unpack("!cI", head)
        text = stream.read(length - 4)
    return kind.decode(errors="replace"), text.decode(errors="replace").replace("\0", " ").strip()
