"""The first thing a mount asks of a GlusterFS brick, as a program for any machine's own Python.

No client is installed for it. Sources: RFC 5531 (RPC) and RFC 4506 (XDR); GlusterFS's
rpc/rpc-lib/src/protocol-common.h, rpc/xdr/src/glusterfs3-xdr.x and libglusterfs/src/dict.c for
what SETVOLUME says.
"""

from __future__ import annotations

PROGRAM = """
import errno, socket, struct

HANDSHAKE, VERSION, SETVOLUME = 14398633, 2, 1

def dictionary(items):
    packed = struct.pack("!I", len(items))
    for key, value in items.items():
        key, value = key.encode(), value.encode() + b"\\0"
        packed += struct.pack("!II", len(key), len(value)) + key + b"\\0" + value
    return packed

def asked(address, port, brick):
    wanted = dictionary({
        "remote-subvolume": brick, "process-uuid": "verify", "process-name": "verify",
        "client-version": "10", "fops-version": "1298437", "mgmt-version": "1",
        "volfile-key": "/", "volfile-checksum": "0",
    })
    # A call without credentials: bricks know their clients by address.
    body = struct.pack("!10I", 1, 0, 2, HANDSHAKE, VERSION, SETVOLUME, 0, 0, 0, 0)
    body += struct.pack("!I", len(wanted)) + wanted + bytes(-len(wanted) % 4)
    with socket.create_connection((address, port), 5) as connection:
        connection.sendall(struct.pack("!I", 1 << 31 | len(body)) + body)
        answer = connection.makefile("rb").read(36)
    code, error = struct.unpack("!iI", answer[28:])
    return "accepted" if code == 0 else errno.errorcode.get(error, str(error))

answers = []
for brick in BRICKS:
    try:
        answers.append(asked(*brick))
    except OSError as error:
        answers.append(str(error))
print(repr(answers))
"""


def program(bricks: list[tuple[str, int, str]]) -> str:
    """Return a Python program that asks each brick (address, port, path) to be let in.

    It prints a literal: for each brick "accepted", "EACCES" where it refuses the address, or why
    there was no answer.
    """
    return f"BRICKS = {bricks!r}\n{PROGRAM}"
