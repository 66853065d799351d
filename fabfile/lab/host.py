"""What the lab needs of this computer: running its programs, one lab task at a time."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class LabError(Exception):
    """A failure of the lab as one sentence, or several problems, one sentence a line."""


def run(*argv: str | Path, stdin: str | None = None, limit: float | None = None) -> str:
    """Run a program of this computer and answer its standard output.

    Raises LabError with the program, its exit code and its last lines when it fails, and when it
    did not end within `limit` seconds.
    """
    command = [str(word) for word in argv]
    try:
        done = subprocess.run(
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"`{' '.join(command)[:200]}` did not end within {limit:g} s.") from None
    except FileNotFoundError:
        raise LabError(f"The program {command[0]} is missing: run bin/prepare.") from None
    if done.returncode:
        raise LabError(
            f"`{' '.join(command)[:200]}` failed with exit code {done.returncode}:"
            f"\n{tail(done.stdout + done.stderr)}"
        )
    return done.stdout


def tail(text: str, lines: int = 8) -> str:
    """Return the last non-empty lines of a text, indented, to show below a sentence."""
    kept = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(f"    {line}" for line in kept[-lines:])


def answers_ssh(address: str, port: int, seconds: float) -> bool:
    """Return whether an SSH server greets us at the address within the time (RFC 4253, 4.2)."""
    try:
        with socket.create_connection((address, port), timeout=min(1.0, seconds)) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


@contextmanager
def one_at_a_time(directory: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lab's lock, waiting for another lab task; the kernel frees it if we are killed."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            say(f"Another lab task (process {lock.read().strip() or '?'}) is at work; waiting.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
