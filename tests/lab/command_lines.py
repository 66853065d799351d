"""Sees the command line of every program that starts, here and on the lab's machines.

A poll of /proc misses what lives shorter than its period. fanotify(7) holds each process while it
opens the C library, its first act as the new program, until its command line is read. Only static
programs go unseen: of those, the machines' images hold ldconfig and no other.

    python tests/lab/command_lines.py ROOT ...      as root, until its standard input ends
"""

import ctypes
import json
import os
import select
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WATCHING = "watching\n"
SECONDS = 300  # at most: while this program hung, so would those that it holds
# linux/fanotify.h
CONTENT_CLASS, CLOSE_ON_EXEC, UNLIMITED_QUEUE = 0x04, 0x01, 0x10
ADD, OPEN_PERMISSION, ALLOW = 0x01, 0x10000, 0x01
EVENT, ANSWER = struct.Struct("=IBBHQii"), struct.Struct("=iI")
HERE = -100  # AT_FDCWD
UNKNOWN = "this kernel lacks fanotify's permission events (CONFIG_FANOTIFY_ACCESS_PERMISSIONS)"


def watch(roots: list[str]) -> list[str]:
    """Return the command line of each program that starts below the roots; its words end by NUL."""
    library = ctypes.CDLL(None, use_errno=True)
    library.fanotify_mark.argtypes = [
        *(ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p)
    ]
    group = library.fanotify_init(CONTENT_CLASS | CLOSE_ON_EXEC | UNLIMITED_QUEUE, os.O_RDONLY)
    for root in roots:
        found = [os.fsencode(path) for path in Path(root, "usr/lib").glob("*/libc.so.6")]
        assert found, f"{root} holds no C library"
        for path in found:
            if group < 0 or library.fanotify_mark(group, ADD, OPEN_PERMISSION, HERE, path):
                raise SystemExit(f"{UNKNOWN}: {os.strerror(ctypes.get_errno())}")
    os.nice(-20)  # whatever starts waits for us
    print(WATCHING, end="", flush=True)
    seen = set()
    while True:
        ready, _, _ = select.select([group, sys.stdin], [], [])
        if group in ready:
            events = os.read(group, 4096 * EVENT.size)
            for _, _, _, _, _, file, process in EVENT.iter_unpack(events):
                try:
                    seen.add(Path(f"/proc/{process}/cmdline").read_bytes())
                except OSError as error:
                    # Killed while it was held: it has done nothing.
                    print(f"process {process}: {error}", file=sys.stderr)
                os.write(group, ANSWER.pack(file, ALLOW))
                os.close(file)
        elif sys.stdin in ready:
            return [line.decode("latin-1") for line in seen]


@contextmanager
def command_lines(directory: Path, names: list[str], sudo: tuple[str, ...]) -> Iterator[set[bytes]]:
    """Give a set that holds, behind the block, the command lines of all that has started in it.

    `directory` is where the lab has its machines of these names.
    """
    roots = ["/"]
    for name in names:
        asked = [*sudo, "lxc-info", "-P", directory, "-n", name, "-p", "-H"]
        first = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
        roots.append(f"/proc/{first}/root")
    process = subprocess.Popen(
        [*sudo, sys.executable, __file__, *roots],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    killer = threading.Timer(SECONDS, process.kill)
    killer.start()
    seen: set[bytes] = set()
    try:
        first = process.stdout.readline()
        assert first == WATCHING, f"the watch did not start: {first}{process.stderr.read()}"
        yield seen
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, f"the watch ended with {process.returncode}: {err}"
        seen.update(line.encode("latin-1") for line in json.loads(out))
    finally:
        killer.cancel()
        process.stdin.close()
        process.kill()
        process.wait()


if __name__ == "__main__":
    json.dump(watch(sys.argv[1:]), sys.stdout)
