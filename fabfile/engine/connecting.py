"""Opens SSH connections as a person's ssh does: to known hosts only, by the way ~/.ssh/config says.

A jump host is trusted no more than a machine: it must be known, too, and what is wrong with it is
said of it by name.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import paramiko
from fabric import Connection

CONNECT_SECONDS = 10
# Without a handler, Python prints what paramiko's threads log: tracebacks of what we put in a
# sentence.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class LoginLike(Protocol):
    """Where to log in and how; None is ssh's own choice.

    `host_from` and `key_from` name for a person the place where host and key were chosen.
    """

    @property
    def host(self) -> str:
        """The name or address of the machine."""

    @property
    def user(self) -> str | None:
        """Who logs in."""

    @property
    def port(self) -> int | None:
        """The port of its SSH server."""

    @property
    def key(self) -> Path | None:
        """The file of the private key."""

    @property
    def known_hosts(self) -> Path | None:
        """The file of the host keys that are trusted."""

    @property
    def host_from(self) -> str:
        """What to repair when the host is wrong."""

    @property
    def key_from(self) -> str:
        """What to repair when the key is wrong."""


class NotConnected(Exception):
    """Why a connection could not be opened, and what to do, as one sentence.

    `absent` tells whether nobody answers there, and not somebody who refuses us.
    """

    def __init__(self, sentence: str, absent: bool = False) -> None:
        self.absent = absent
        super().__init__(sentence)


def open_connection(login: LoginLike) -> Connection:
    """Return an open connection, through open ones to the jump hosts before it.

    Raises NotConnected.
    """
    if login.key and not login.key.is_file():
        raise NotConnected(f"the SSH key {login.key} does not exist; see {login.key_from}")
    try:
        connection = _prepared(login)
    except Exception as error:
        raise NotConnected(
            f"~/.ssh/config or known_hosts cannot be used for {login.host}: "
            f"{str(error) or type(error).__name__}; try 'ssh {login.host}'"
        ) from error
    for hop in reversed(list(_hops(connection))):
        try:
            hop.open()
            hop.transport.set_keepalive(15)
            # For the way on from a jump host: paramiko's own limit is an hour.
            hop.transport.channel_timeout = CONNECT_SECONDS
        except Exception as error:
            close_connection(connection)
            where = "" if hop is connection else f"the jump host {hop.host}: "
            raise NotConnected(where + _refusal(error, hop, login), _is_silence(error)) from error
    return connection


def close_connection(connection: Connection) -> None:
    """Close a connection and those to the jump hosts before it."""
    for hop in _hops(connection):
        hop.close()


def _hops(connection: Connection) -> Iterator[Connection]:
    """Yield a connection and the ones it goes through, the farthest first."""
    hop: Connection | str | None = connection
    while isinstance(hop, Connection):  # a ProxyCommand is text
        yield hop
        hop = hop.gateway


def _prepared(login: LoginLike) -> Connection:
    keys = {"key_filename": [str(login.key)], "allow_agent": False, "look_for_keys": False}
    connection = Connection(
        login.host,
        user=login.user,
        port=login.port,
        connect_kwargs=keys if login.key else {},
    )
    for hop in _hops(connection):
        hop.connect_timeout = CONNECT_SECONDS
        if login.key and hop is not connection:
            own = hop.connect_kwargs.get("key_filename", [])
            hop.connect_kwargs = {**hop.connect_kwargs, "key_filename": [str(login.key), *own]}
        # Fabric accepts any host key; we accept the known ones.
        hop.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        for path in _known_hosts(hop, login):
            if path.is_file():
                hop.client.load_host_keys(str(path))
    return connection


def _known_hosts(connection: Connection, login: LoginLike) -> list[Path]:
    if login.known_hosts:
        return [login.known_hosts]
    named = connection.ssh_config.get("userknownhostsfile", "~/.ssh/known_hosts")
    return [*map(Path.expanduser, map(Path, named.split())), Path("/etc/ssh/ssh_known_hosts")]


def _refusal(error: Exception, connection: Connection, login: LoginLike) -> str:
    """Return why a connection could not be opened, and what to do, as one sentence."""
    host, port, user = connection.host, connection.port, connection.user
    known = _known_hosts(connection, login)[0]
    where = f"{host}:{port}"
    if isinstance(error, paramiko.BadHostKeyException):
        return (
            f"{where} shows another host key than the one in {known}: it was installed again, "
            f"or someone is in between; when you know which, 'ssh-keygen -R {host} -f {known}'"
        )
    if isinstance(error, paramiko.SSHException) and "not found in known_hosts" in str(error):
        return (
            f"the host key of {where} is not known; compare it with the machine's own, then "
            f"'ssh-keyscan -p {port} {host} >> {known}'"
        )
    if isinstance(error, paramiko.AuthenticationException):
        key = login.key or "the keys of ~/.ssh and its agent"
        return (
            f"{where} refuses the user {user} with {key}; put the public key into "
            f"~{user}/.ssh/authorized_keys there"
        )
    if isinstance(error, paramiko.SSHException) and "authentication methods" in str(error):
        return (
            f"there is no key to log in with as {user} at {where}; make one with ssh-keygen, "
            f"or name one in {login.key_from} or ~/.ssh/config"
        )
    if isinstance(error, paramiko.ChannelException) or "opening channel" in str(error):
        return f"its jump host cannot reach {where} ({_reason(error)}); is it running, with sshd?"
    if isinstance(error, socket.gaierror):
        return f"the name {host} has no address; repair {login.host_from}"
    if isinstance(error, TimeoutError):
        return f"no answer from {where} within {CONNECT_SECONDS} s; is it running, and there?"
    if isinstance(error, paramiko.SSHException) and "No existing session" in str(error):
        return f"{where} lets us in, but no SSH server speaks there; does the machine hang?"
    if isinstance(error, OSError):
        return f"{where} cannot be reached ({_reason(error)}); is it running, with sshd?"
    return f"no SSH with {where}: {_reason(error)}; try 'ssh {user}@{host}'"


def _is_silence(error: Exception) -> bool:
    if isinstance(error, socket.gaierror):
        return False
    silent = ("opening channel", "No existing session", "SSH protocol banner")
    return isinstance(error, (OSError, EOFError, paramiko.ChannelException)) or any(
        words in str(error) for words in silent
    )


def _reason(error: Exception) -> str:
    if isinstance(error, paramiko.ChannelException):
        return error.text
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
