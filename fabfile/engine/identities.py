"""The keys to log in with: files, an agent's, and those whose passphrase was asked for once."""

from __future__ import annotations

import base64
import getpass
import logging
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import paramiko
from paramiko.agent import AgentKey, AgentSSH
from paramiko.auth_strategy import AuthStrategy, InMemoryPrivateKey, SourceResult

TRIES = 3
# What was read, for as long as this program runs: a passphrase is typed once.
_keys: dict[Path, paramiko.PKey] = {}
MAGIC = b"openssh-key-v1\0"


class BadKey(Exception):
    """Why the file of a key cannot be used, and what to do, as one sentence."""


class Locked(Exception):
    """A key file that needs a passphrase."""


class SecondFactor(paramiko.AuthenticationException):
    """A server that has accepted a key, and asks for something more."""


class Silent(paramiko.SSHException):
    """A server that has greeted us, and does not answer a log-in in time."""


class _Agent(AgentSSH):
    """The agent at a socket."""

    def __init__(self, path: str) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(10)
        connection.connect(path)
        self._connect(connection)  # type: ignore[attr-defined]


class Identities(AuthStrategy):
    """Which keys are tried: an agent's, then files, as ssh does.

    `only` leaves out those of the agent that no file names. `locked` are files that nobody has
    given the passphrase of. Raises BadKey when there are only files that cannot be used.
    """

    def __init__(self, user: str, files: Iterable[Path], agent: str, only: bool) -> None:
        super().__init__(ssh_config=paramiko.SSHConfig())
        self.user = user
        self.locked: list[Path] = []
        self._end = 0.0
        there = {file: _public(file) for file in files if file.is_file()}
        held = [key for key in _held(agent) if not only or key.asbytes() in there.values()]
        # An agent that has a key has its passphrase, too.
        others = [file for file in there if there[file] not in {key.asbytes() for key in held}]
        self.keys: list[paramiko.PKey] = list(held)
        bad: list[BadKey] = []
        for file in others:
            try:
                self.keys.append(private_key(file))
            except Locked:
                self.locked.append(file)
            except BadKey as error:
                bad.append(error)
        if bad and not self.keys and not self.locked:
            raise bad[0]

    def authenticate(self, transport: paramiko.Transport) -> list[SourceResult]:
        """Log in by one of the keys; raises SecondFactor where that is not enough (RFC 4252, 5.1).

        Another one would be asked for at each machine, at the same time. Raises Silent when the
        transport's limit has passed without an answer.
        """
        self._end = time.monotonic() + transport.auth_timeout
        try:
            tried = super().authenticate(transport)
        except paramiko.AuthenticationException as error:
            if time.monotonic() >= self._end:
                raise Silent("no answer to a log-in") from error
            raise
        wanted = tried[-1].result
        if wanted and isinstance(wanted, list):
            raise SecondFactor(", ".join(wanted))
        return tried

    def get_sources(self) -> Iterator[InMemoryPrivateKey]:
        """Yield the keys, in the order in which they are tried, while there is time."""
        for key in self.keys:
            yield InMemoryPrivateKey(self.user, key)
            if self._end and time.monotonic() >= self._end:
                return


def private_key(file: Path) -> paramiko.PKey:
    """Return the key of a file; raises Locked when it wants a passphrase, or BadKey."""
    if file not in _keys:
        if _is_public(file):
            raise BadKey(f"{file} is a public key; name the private one, {file.with_suffix('')}")
        try:
            _keys[file] = _read(file, None)
        except (OSError, TypeError, ValueError, paramiko.SSHException) as error:
            if isinstance(error, TypeError) or "password" in str(error).lower():
                raise Locked(file) from None
            raise BadKey(f"{file} is no private key that can be read") from None
    return _keys[file]


def unlock(file: Path) -> None:
    """Ask a person, if there is one, for the passphrase of a key, once."""
    for _ in range(TRIES if sys.stdin.isatty() and file not in _keys else 0):
        try:
            _keys[file] = _read(file, getpass.getpass(f"Passphrase of {file}: "))
            return
        except (TypeError, ValueError, paramiko.SSHException):
            print("That is not its passphrase.", file=sys.stderr)


def _read(file: Path, passphrase: str | None) -> paramiko.PKey:
    secret = passphrase.encode() if passphrase is not None else None
    return paramiko.PKey.from_path(file, secret)  # type: ignore[arg-type]


def _is_public(file: Path) -> bool:
    return file.read_bytes()[:6].startswith((b"ssh-", b"ecdsa-", b"sk-"))


def _public(file: Path) -> bytes:
    """Return the public part of a key, which needs no passphrase; nothing when it is not told."""
    beside = file if _is_public(file) else file.with_name(f"{file.name}.pub")
    try:
        if beside.is_file():
            return base64.b64decode(beside.read_text().split()[1])
        # See PROTOCOL.key of OpenSSH: cipher, derivation and its options come before it.
        _, _, text = file.read_text().partition("-----\n")
        data = base64.b64decode(text.partition("-----")[0])
        message = paramiko.Message(data.removeprefix(MAGIC))
        for _ in range(3):
            message.get_binary()
        return message.get_binary() if data.startswith(MAGIC) and message.get_int() == 1 else b""
    except (OSError, ValueError, IndexError):
        return b""


def _held(agent: str) -> tuple[AgentKey, ...]:
    if not agent:
        return ()
    try:
        keys: tuple[AgentKey, ...] = _Agent(agent).get_keys()
    except (OSError, paramiko.SSHException) as error:
        logging.getLogger(__name__).warning("the SSH agent at %s gives no keys: %s", agent, error)
        return ()
    return keys
