#!/usr/bin/python3
"""Runs a command on one server only: `only_one.py PSQL PORT NAME COMMAND`, on each of them.

Who holds a lock of PostgreSQL's (pg_advisory_lock) by that name runs the command, the others ask
for the lock each second. PostgreSQL lets go of it when the session ends, and ends a session whose
server is silent for 10 s. A holder that has had no answer for ANSWER seconds kills what it runs,
and a new one waits for GRACE seconds before it starts, which is longer: so never two run, however
the old one lost the lock. Only where a whole server stands still for 20 s and then goes on, two run
until it asks the next time. The session is this process's own, at PostgreSQL's PORT: a pooler must
not share it.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

ANSWER, GRACE, PAUSE = 5, 10, 1
# 4 + 3 * 2 = 10 s. Of tcp(7), for the database's end of this session.
SETTINGS = """SET tcp_keepalives_idle = 4;
SET tcp_keepalives_interval = 2;
SET tcp_keepalives_count = 3;
SET tcp_user_timeout = 10000;
SET client_min_messages = warning;
"""
# The first number sets these locks apart from those of others.
TRY = "SELECT pg_try_advisory_lock(2017, hashtext('{}'));"


class Lost(Exception):
    """The database gives no answer, as one sentence."""


class Session:
    """A session of psql, which finds its database by the environment (libpq)."""

    def __init__(self, psql: str, port: str) -> None:
        words = [psql, "-qAtX", "-v", "ON_ERROR_STOP=1"]
        pipe = subprocess.PIPE
        more = {"PGPORT": port, "PGCONNECT_TIMEOUT": str(ANSWER)}
        self._psql = subprocess.Popen(
            words, stdin=pipe, stdout=pipe, bufsize=0, env={**os.environ, **more}
        )
        self._send(SETTINGS)

    def ask(self, query: str) -> str:
        """Return the one line that answers; raises Lost."""
        self._send(query + "\n")
        assert self._psql.stdout
        ready, _, _ = select.select([self._psql.stdout], [], [], ANSWER)
        line: bytes = self._psql.stdout.readline() if ready else b""
        if not line:
            raise Lost("the database gives no answer, so that the lock may be somebody else's")
        return line.decode().strip()

    def _send(self, text: str) -> None:
        assert self._psql.stdin
        try:
            self._psql.stdin.write(text.encode())
        except BrokenPipeError:
            raise Lost("the connection to the database has ended") from None


def tell(text: str) -> None:
    """Tell systemd how it is, which `systemctl status` shows: sd_notify(3)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(f"READY=1\nSTATUS={text}".encode(), os.environ["NOTIFY_SOCKET"])


def hold(session: Session, command: str) -> int:
    """Run the command as long as the database answers; return its exit code. Raises Lost.

    One that was told to stop has done well, however it ended.
    """
    child = subprocess.Popen(["/bin/bash", "-c", command], start_new_session=True)
    told = False

    def stop(*_: object) -> None:
        nonlocal told
        told = True
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    try:
        while child.poll() is None:
            session.ask("SELECT 1;")
            try:
                child.wait(PAUSE)
            except subprocess.TimeoutExpired:
                continue
    finally:
        # Whatever else it has started is ended by systemd (KillMode=mixed).
        child.kill()
    return 0 if told else abs(child.returncode)


def main(psql: str, port: str, name: str, command: str) -> int:
    """Wait for the lock, run the command, and return its exit code."""
    try:
        session = Session(psql, port)
        tell("stands by")
        while session.ask(TRY.format(name)) != "t":
            time.sleep(PAUSE)
        tell("takes over")
        end = time.monotonic() + GRACE
        while time.monotonic() < end:
            session.ask("SELECT 1;")
            time.sleep(PAUSE)
        tell("runs here")
        return hold(session, command)
    except Lost as lost:
        print(lost, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
