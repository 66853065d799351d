"""One machine, reached over one Fabric connection, that runs scripts as root.

A script is sent on standard input, never as an argument: no secret shows in a process list, and
no size limit applies. Every failure is a `MachineError`: one sentence with the remedy.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import paramiko
from fabric import Connection

from fabfile.engine.connecting import (
    CONNECT_SECONDS,
    LoginLike,
    NotConnected,
    close_connection,
    open_connection,
)
from fabfile.engine.root import READY, as_root, why_not_root

# What paramiko raises when a connection breaks; AttributeError when another thread has closed it.
BROKEN = (OSError, EOFError, AttributeError, paramiko.SSHException)

# What is sent or received at a time.
CHUNK = 65536
# How long after the limit a connection is given up that takes no input.
GUARD_SECONDS = 5


class MachineError(Exception):
    """Something a machine refused or failed at; `.machine` names it."""

    def __init__(self, machine: str, sentence: str) -> None:
        self.machine = machine
        self.sentence = sentence
        super().__init__(f"{machine}: {sentence}")


class Absent(MachineError):
    """A machine on which nobody answers: it is off, cut off, or hangs."""


@dataclass(frozen=True)
class Output:
    """What a script left: its exit code, and its output and errors as one text."""

    code: int
    text: str


class _Limit:
    """A time limit that runs."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """The seconds that are left: a moment when it has run out, since 0 means no limit."""
        return max(0.01, self._end - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Tell whether it has run out."""
        return time.monotonic() >= self._end


@contextmanager
def _closed_after(seconds: float, channel: paramiko.Channel | paramiko.Transport) -> Iterator[None]:
    """Close it when the block takes longer: paramiko waits there without a limit."""

    def close() -> None:
        with suppress(*BROKEN):  # it may be closing from its other end, too
            channel.close()

    guard = threading.Timer(seconds, close)
    guard.daemon = True
    guard.start()
    try:
        yield
    finally:
        guard.cancel()


class Remote:
    """A machine's connection: opened at first use, closed by `close`.

    It may be closed from another thread: what runs on it then sees its output end. `sudo_password`
    is what sudo asks for, on all machines; without it, sudo must ask for nothing.
    """

    sudo_password = ""

    def __init__(self, name: str, login: LoginLike) -> None:
        self.name = name
        self.login = login
        self.round_trips = 0
        self._connection: Connection | None = None

    def connect(self) -> None:
        """Open the connection if it is not; raises MachineError when that fails."""
        self._connected()

    def _connected(self) -> Connection:
        if self._connection is None:
            try:
                self._connection = open_connection(self.login)
            except NotConnected as error:
                kind = Absent if error.absent else MachineError
                raise kind(self.name, str(error)) from error
        return self._connection

    def close(self) -> None:
        """Close the connection, and those to the jump hosts before it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            close_connection(connection)

    def run(
        self,
        script: str,
        *,
        seconds: float = 60,
        on_line: Callable[[str], None] | None = None,
    ) -> Output:
        """Run a shell script as root and answer its output; raises MachineError without sudo."""
        # eval of the whole input: a connection lost half-way runs nothing that came by then.
        body = "{\n" + script + "\n}"
        return self.pipe('eval "$(cat)"', body.encode(), seconds=seconds, on_line=on_line)

    def pipe(
        self,
        command: str,
        data: bytes,
        *,
        seconds: float = 60,
        on_line: Callable[[str], None] | None = None,
    ) -> Output:
        """Run a shell command as root with `data` as its input; `seconds` is the limit of it all.

        `on_line` is called with each line as it comes. Raises MachineError when the limit runs
        out, the connection breaks, or the user may not become root.
        """
        limit = _Limit(seconds)
        try:
            channel = self.start(command)
            self._send(channel, data, limit)
            channel.shutdown_write()
            text = self._read(channel, limit, on_line)
            channel.settimeout(limit.left)
            said = channel.makefile_stderr().read().decode(errors="replace")
            if not channel.status_event.wait(limit.left):
                raise self._late(channel, limit, text)
            return self._checked(channel.recv_exit_status(), text, said)
        except BROKEN as error:
            raise self._broken(error) from error

    def follow(self, command: str, on_line: Callable[[str], None]) -> None:
        """Run a shell command as root and call `on_line` with each line, until it ends.

        The command finds its standard input open for as long as we live. Raises MachineError.
        """
        try:
            channel = self.start(command)
            before = ""
            for line in channel.makefile("r", 1):
                if before.endswith(f"{READY}\n"):
                    on_line(line.rstrip("\n"))
                else:
                    before += line
            said = channel.makefile_stderr().read().decode(errors="replace")
            self._checked(channel.recv_exit_status(), before, said)
        except BROKEN as error:
            raise self._broken(error) from error

    def start(self, command: str) -> paramiko.Channel:
        """Start a shell command as root and answer its channel; its output begins with READY.

        Raises MachineError when there is no connection, or it breaks.
        """
        connection = self._connected()
        self.round_trips += 1
        limit = _Limit(CONNECT_SECONDS)
        try:
            channel: paramiko.Channel = connection.transport.open_session(timeout=limit.seconds)
            with _closed_after(limit.seconds, channel):
                channel.exec_command(as_root(command, bool(self.sudo_password)))
            if self.sudo_password:
                channel.sendall(f"{self.sudo_password}\n".encode())
        except BROKEN as error:
            if connection.is_connected and limit.is_over:
                raise Absent(
                    self.name,
                    f"it lets us in, and begins no command within {limit.seconds:.0f} s; does the "
                    "machine hang?",
                ) from error
            raise self._broken(error) from error
        return channel

    def _broken(self, error: Exception) -> MachineError:
        reason = str(error) or type(error).__name__
        return MachineError(self.name, f"the connection broke ({reason}); run it again")

    def _send(self, channel: paramiko.Channel, data: bytes, limit: _Limit) -> None:
        """Send the input; who ends without having read all of it has said why."""
        # What the network does not take blocks below the channel, which has no limit for that.
        with _closed_after(limit.left + GUARD_SECONDS, channel.get_transport()):
            try:
                sent = 0
                while sent < len(data):
                    channel.settimeout(limit.left)
                    taken = channel.send(data[sent : sent + CHUNK])
                    if not taken:
                        return
                    sent += taken
            except TimeoutError:
                raise self._late(channel, limit, "") from None
            except OSError:
                if not channel.closed:
                    raise

    def _read(
        self, channel: paramiko.Channel, limit: _Limit, on_line: Callable[[str], None] | None
    ) -> str:
        received: list[bytes] = []
        pending = b""
        while True:
            channel.settimeout(limit.left)
            try:
                data = channel.recv(CHUNK)
            except TimeoutError:
                text = b"".join(received).decode(errors="replace")
                raise self._late(channel, limit, text) from None
            if not data:
                return b"".join(received).decode(errors="replace")
            received.append(data)
            *lines, pending = (pending + data).split(b"\n")
            if on_line:
                for line in lines:
                    on_line(line.decode(errors="replace"))

    def _late(self, channel: paramiko.Channel, limit: _Limit, text: str) -> MachineError:
        channel.close()
        tail = " | ".join(text.strip().splitlines()[-5:])
        said = f"its last lines: {tail}" if tail else "it said nothing"
        return MachineError(self.name, f"not finished within {limit.seconds:.0f} s; {said}")

    def _checked(self, code: int, text: str, said: str) -> Output:
        if code == -1:
            raise MachineError(self.name, "the connection broke; run it again")
        _, ready, after = text.partition(READY + "\n")
        if ready:
            return Output(code, after)
        user = self.login.user or "the login user"
        reason = why_not_root(user, code, text, said, bool(self.sudo_password))
        raise MachineError(self.name, reason)
