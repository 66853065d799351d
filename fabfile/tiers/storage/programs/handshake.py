"""The first thing a mount asks of a GlusterFS brick, without a client installed for it.

Sources: RFC 5531 (RPC) and RFC 4506 (XDR); GlusterFS's rpc/rpc-lib/src/protocol-common.h,
rpc/xdr/src/glusterfs3-xdr.x and libglusterfs/src/dict.c for what SETVOLUME says.
"""

from __future__ import annotations

import errno
import socket
import struct

HANDSHAKE, VERSION, SETVOLUME = 14398633, 2, 1
XID, CALL, RPC = 1, 0, 2
LAST_FRAGMENT = 1 << 31
# Record mark, then transaction, kind, state, verifier (2), accepted: all before what we read.
BEFORE_RESULT, RESULT = 28, "!iI"
SECONDS = 5


def dictionary(items: dict[str, str]) -> bytes:
    """Return a dictionary as GlusterFS sends it: each value with the zero that ends it."""
    packed = struct.pack("!I", len(items))
    for name, text in items.items():
        key, value = name.encode(), text.encode() + b"\0"
        packed += struct.pack("!II", len(key), len(value)) + key + b"\0" + value
    return packed


def call(brick: str) -> bytes:
    """Return the whole record that asks to be let in to a brick of that path."""
    wanted = dictionary(
        {
            "remote-subvolume": brick,
            "process-uuid": "verify",
            "process-name": "verify",
            "client-version": "10",
            "fops-version": "1298437",
            "mgmt-version": "1",
            "volfile-key": "/",
            "volfile-checksum": "0",
        }
    )
    # Without credentials and verifier: bricks know their clients by address.
    body = struct.pack("!10I", XID, CALL, RPC, HANDSHAKE, VERSION, SETVOLUME, 0, 0, 0, 0)
    body += struct.pack("!I", len(wanted)) + wanted + bytes(-len(wanted) % 4)
    return struct.pack("!I", LAST_FRAGMENT | len(body)) + body


def asked(address: str, port: int, brick: str) -> str:
    """Return "accepted", or the name of the error that a brick refuses this address with."""
    with socket.create_connection((address, port), SECONDS) as connection:
        connection.sendall(call(brick))
        size = BEFORE_RESULT + struct.calcsize(RESULT)
        answer = connection.makefile("rb").read(size)
    if len(answer) < size:
        return "hung up"
    code, error = struct.unpack(RESULT, answer[BEFORE_RESULT:])
    return "accepted" if code == 0 else errno.errorcode.get(error, str(error))


def main(given: list[tuple[str, int, str]]) -> list[str]:
    """Ask each brick, by address, port and path, to be let in; answer why there was no answer."""
    answers = []
    for brick in given:
        try:
            answers.append(asked(*brick))
        except OSError as error:
            answers.append(str(error))
    return answers
