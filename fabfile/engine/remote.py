"""One machine, reached over one Fabric connection, that runs scripts as root.

A script is sent on standard input, never as an argument: no secret shows in a process list, and
no size limit applies. Every failure is a `MachineError`: one sentence with the remedy.
"""

from __future__ import annotations

import shlex
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import paramiko
from fabric import Connection

CONNECT_SECONDS = 10
# Announces that sudo has let us in: what comes before it is the login shell's or sudo's own.
READY = "@@root"


class MachineError(Exception):
    """Something a machine refused or failed at; `.machine` names it."""

    def __init__(self, machine: str, sentence: str) -> None:
        self.machine = machine
        self.sentence = sentence
        super().__init__(f"{machine}: {sentence}")


@dataclass(frozen=True)
class Output:
    """What a script left: its exit code, and its output and errors as one text."""

    code: int
    text: str


class Remote:
    """A machine's connection: opened at first use, closed by `close`.

    `login` needs the attributes host, user, port, key and known_hosts; None is ssh's own choice.
    """

    def __init__(self, name: str, login: object) -> None:
        self.name = name
        self.login = login
        self.round_trips = 0
        self._connection: Connection | None = None

    def connect(self) -> None:
        """Open the connection if it is not; raises MachineError when that fails."""
        if self._connection is None:
            connection = self._prepared()
            try:
                connection.open()
            except Exception as error:
                connection.close()
                raise MachineError(self.name, self._refusal(error, connection)) from error
            connection.transport.set_keepalive(15)
            self._connection = connection

    def close(self) -> None:
        """Close the connection; a script that runs on it sees its output end."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

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
        try:
            channel = self.start(command)
            channel.sendall(data)
            channel.shutdown_write()
            text = self._read(channel, seconds, on_line)
            said = channel.makefile_stderr().read().decode(errors="replace")
            return self._checked(channel.recv_exit_status(), text, said)
        except (OSError, EOFError, paramiko.SSHException) as error:
            reason = str(error) or type(error).__name__
            raise MachineError(
                self.name, f"the connection broke ({reason}); run it again"
            ) from error

    def follow(self, command: str, on_line: Callable[[str], None]) -> None:
        """Run a shell command as root and call `on_line` with each line, until it ends.

        The command finds its standard input open for as long as we live. Raises MachineError.
        """
        try:
            channel = self.start(command)
            ready = False
            for line in channel.makefile("r", 1):
                if ready:
                    on_line(line.rstrip("\n"))
                ready = ready or line == READY + "\n"
            said = channel.makefile_stderr().read().decode(errors="replace")
            self._checked(channel.recv_exit_status(), f"{READY}\n" if ready else "", said)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise MachineError(self.name, f"the connection broke ({error})") from error

    def start(self, command: str) -> paramiko.Channel:
        """Start a shell command as root and answer its channel; its output begins with READY.

        Raises MachineError when there is no connection, what paramiko raises when it breaks.
        """
        self.connect()
        self.round_trips += 1
        # What sudo itself says, such as a host name it cannot resolve, is no output of the command.
        root = shlex.quote(f"exec 2>&1; echo {READY}; {command}")
        channel = self._connection.transport.open_session(timeout=CONNECT_SECONDS)
        channel.exec_command(
            f'if [ "$(id -u)" = 0 ]; then sh -c {root}; else sudo -n sh -c {root}; fi'
        )
        return channel

    def _read(self, channel: paramiko.Channel, seconds: float, on_line: Callable | None) -> str:
        deadline = time.monotonic() + seconds
        received, pending = [], b""
        while True:
            channel.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                data = channel.recv(65536)
            except TimeoutError:
                channel.close()
                tail = b"".join(received).decode(errors="replace").strip().splitlines()[-5:]
                sentence = (
                    f"not finished within {seconds:.0f} s; its last lines: {' | '.join(tail)}"
                )
                raise MachineError(self.name, sentence) from None
            if not data:
                return b"".join(received).decode(errors="replace")
            received.append(data)
            *lines, pending = (pending + data).split(b"\n")
            for line in lines if on_line else ():
                on_line(line.decode(errors="replace"))

    def _checked(self, code: int, text: str, said: str) -> Output:
        _, ready, after = text.partition(READY + "\n")
        if ready:
            if code == -1:
                raise MachineError(self.name, "the connection broke; run it again")
            return Output(code, after)
        user = self.login.user or "the login user"
        reason = said.strip().splitlines()[-1:] or [f"exit code {code}"]
        raise MachineError(
            self.name,
            f"{user} may not become root by 'sudo -n' ({reason[0]}); there, put the line "
            f"'{user} ALL=(ALL) NOPASSWD: ALL' into /etc/sudoers.d/{user}",
        )

    def _prepared(self) -> Connection:
        login = self.login
        if login.key and not login.key.is_file():
            raise MachineError(
                self.name, f"the SSH key {login.key} does not exist; see LOGIN['key']"
            )
        keys = {"key_filename": str(login.key), "allow_agent": False, "look_for_keys": False}
        connection = Connection(
            login.host,
            user=login.user,
            port=login.port,
            connect_timeout=CONNECT_SECONDS,
            connect_kwargs=keys if login.key else {},
        )
        # Fabric accepts any host key; we accept the known ones.
        connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        for path in self._known_hosts(connection):
            if path.is_file():
                connection.client.load_host_keys(str(path))
        return connection

    def _known_hosts(self, connection: Connection) -> list[Path]:
        if self.login.known_hosts:
            return [self.login.known_hosts]
        named = connection.ssh_config.get("userknownhostsfile", "~/.ssh/known_hosts")
        return [*map(Path.expanduser, map(Path, named.split())), Path("/etc/ssh/ssh_known_hosts")]

    def _refusal(self, error: Exception, connection: Connection) -> str:
        """Answer why a connection could not be opened, and what to do, as one sentence."""
        host, port, user = connection.host, connection.port, connection.user
        known = self._known_hosts(connection)[0]
        where = f"{host}:{port}"
        if isinstance(error, paramiko.BadHostKeyException):
            return (
                f"{where} shows another host key than the one in {known}: it was installed anew, "
                f"or someone is in between; when you know which, 'ssh-keygen -R {host} -f {known}'"
            )
        if isinstance(error, paramiko.SSHException) and "not found in known_hosts" in str(error):
            return (
                f"the host key of {where} is not known; compare it with the machine's own, then "
                f"'ssh-keyscan -p {port} {host} >> {known}'"
            )
        if isinstance(error, paramiko.AuthenticationException):
            key = self.login.key or "the keys of ~/.ssh and its agent"
            return (
                f"{where} refuses the user {user} with {key}; put the public key into "
                f"~{user}/.ssh/authorized_keys there"
            )
        if isinstance(error, paramiko.SSHException) and "authentication methods" in str(error):
            return (
                f"there is no key to log in with as {user} at {where}; make one with ssh-keygen, "
                "or name one in LOGIN['key'] or ~/.ssh/config"
            )
        if isinstance(error, socket.gaierror):
            return f"the name {host} has no address; mend its 'ssh' entry in config.py"
        if isinstance(error, TimeoutError):
            return f"no answer from {where} within {CONNECT_SECONDS} s; is it running, and there?"
        if isinstance(error, paramiko.SSHException) and "No existing session" in str(error):
            return f"{where} lets us in, but no SSH server speaks there; does the machine hang?"
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
            return f"{where} cannot be reached ({reason}); is it running, with sshd?"
        return f"no SSH with {where}: {str(error) or type(error).__name__}; try 'ssh {user}@{host}'"
