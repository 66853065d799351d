"""Opens SSH connections as a person's ssh does: to known hosts only, by the way ~/.ssh/config says.

A jump host is trusted no more than a machine: it must be known, too, and what is wrong with it is
said of it by name.
"""

from __future__ import annotations

import logging
import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import paramiko
from fabric import Config, Connection

from fabfile.engine.identities import BadKey, Identities, unlock
from fabfile.engine.known_hosts import Policy, Unknown, UnknownHostKey, keys_of
from fabfile.engine.refusals import is_silence, refusal, was_dropped
from fabfile.engine.ssh_settings import NoSettings, Settings, own_file, settings, split

CONNECT_SECONDS = 10
# A machine whose firewall is loaded for the first time does not know the connections that it has
# opened, as a jump host has. It drops what comes back on them until it has sent something.
KEEPALIVE_SECONDS = 3
# A chain of jump hosts that is longer leads in a circle.
MOST_HOPS = 8
# Without a handler, Python prints what paramiko's threads log: tracebacks of what we put in a
# sentence.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class LoginLike(Protocol):
    """Where to log in and how; None is ssh's own choice.

    `host_from` and `key_from` name for a person the place where host and key were chosen,
    `trust_by` the command that shows host keys and has them trusted.
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

    @property
    def trust_by(self) -> str:
        """What to run when the host key is not known."""


class NotConnected(Exception):
    """Why a connection could not be opened, and what to do, as one sentence.

    `absent` tells whether nobody answers there, and not somebody who refuses us. `unknown` is the
    host key that is not known, if it is that.
    """

    def __init__(self, sentence: str, absent: bool = False, unknown: Unknown | None = None) -> None:
        self.absent = absent
        self.unknown = unknown
        super().__init__(sentence)


@dataclass
class _Hop:
    """One connection on the way to a machine: the way there, and what lets us in."""

    way: Settings
    identities: Identities
    connection: Connection
    ssh: list[str]


def open_connection(login: LoginLike) -> Connection:
    """Return an open connection, through open ones to the jump hosts before it.

    Raises NotConnected.
    """
    hops: list[_Hop] = []
    try:
        for way, given in _ways(login):
            hops.append(_hop(login, way, given, hops[-1].connection if hops else None))
            _open(hops[-1])
    except NoSettings as error:
        _close(hops)
        raise NotConnected(str(error)) from error
    except BadKey as error:
        _close(hops)
        raise NotConnected(f"{error}; see {login.key_from}") from error
    except NotConnected:
        raise
    except Exception as error:
        _close(hops)
        if not hops:
            said = str(error) or type(error).__name__
            raise NotConnected(
                f"~/.ssh cannot be used for {login.host}: {said}; try 'ssh {login.host}'"
            ) from error
        last = hops[-1]
        where = "" if last.way == _way(login) else f"the jump host {last.way.host}: "
        places = (login.host_from, login.key_from, login.trust_by)
        why = refusal(error, last.way, last.identities, places, CONNECT_SECONDS)
        unknown = None
        if isinstance(error, UnknownHostKey):
            unknown = Unknown(last.way.name, error.key, last.way.known_hosts[0])
        raise NotConnected(where + why, is_silence(error), unknown) from error
    return hops[-1].connection


def unlock_keys(logins: Iterable[LoginLike]) -> None:
    """Ask a person at a terminal for the passphrases without which nobody lets us in.

    It comes before anything is shown that a question would disturb.
    """
    for login in logins:
        try:
            way = _way(login)
            identities = _identities(way)
        except (NotConnected, NoSettings, BadKey):
            continue  # said when it is connected to
        if not identities.keys and identities.locked:
            unlock(identities.locked[0])


def close_connection(connection: Connection) -> None:
    """Close a connection and those to the jump hosts before it."""
    hop: Connection | str | None = connection
    while isinstance(hop, Connection):
        hop.close()
        hop = hop.gateway


def _close(hops: Iterable[_Hop]) -> None:
    for hop in hops:
        # Also a connection that was not opened to its end.
        hop.connection.client.close()


def _way(login: LoginLike) -> Settings:
    """Return the way to a machine: ssh's own, but for what the login says; raises NotConnected."""
    if login.key and not login.key.is_file():
        raise NotConnected(f"the SSH key {login.key} does not exist; see {login.key_from}")
    way = settings(login.host, login.user, login.port)
    if login.key:
        way = replace(way, keys=(login.key,), only_keys=True)
    return replace(way, known_hosts=(login.known_hosts,)) if login.known_hosts else way


def _ways(login: LoginLike) -> Iterator[tuple[Settings, str]]:
    """Yield the ways to the jump hosts and to the machine, in order, each with what it is called.

    A chain names all but the way to its first host, which may have a jump host of its own, as ssh
    has it.
    """
    last = _way(login)
    ways = [(last, login.host)]
    while ways[0][0].jumps:
        if len(ways) > MOST_HOPS:
            raise NoSettings(f"the jump hosts before {login.host} lead in a circle")
        named = [(settings(*split(target)), split(target)[0]) for target in ways[0][0].jumps]
        # A pattern for all hosts holds for the jump host, too.
        if (named[-1][0].host, named[-1][0].port) == (ways[0][0].host, ways[0][0].port):
            break
        ways = [*((_as_jump(way, login), given) for way, given in named), *ways]
    yield from ways


def _as_jump(way: Settings, login: LoginLike) -> Settings:
    """Return the way to a jump host: it gets the login's key, too, and must be known as it is."""
    keys = (login.key, *way.keys) if login.key else way.keys
    known = (login.known_hosts,) if login.known_hosts else way.known_hosts
    return replace(way, keys=keys, known_hosts=known)


def _identities(way: Settings) -> Identities:
    return Identities(way.user, way.keys, way.agent, way.only_keys)


def _hop(login: LoginLike, way: Settings, given: str, before: Connection | None) -> _Hop:
    identities = _identities(way)
    connection = Connection(
        way.host,
        user=way.user,
        port=way.port,
        gateway=before or False,
        config=Config(lazy=True, ssh_config=paramiko.SSHConfig()),
        connect_timeout=CONNECT_SECONDS,
        connect_kwargs={"auth_strategy": identities, "auth_timeout": CONNECT_SECONDS},
    )
    files = " ".join(map(str, way.known_hosts))
    ssh = [
        "ssh",
        *own_file(),
        "-o",
        f"UserKnownHostsFile={files}",
        "-l",
        way.user,
        "-p",
        str(way.port),
    ]
    return _Hop(way, identities, connection, [*ssh, "--", given, "true"])


def _open(hop: _Hop) -> None:
    """Open a connection; a server that has too many at once is asked again for a while."""
    end = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            _try(hop)
            return
        except Exception as error:
            # One of many that came at the same time: not all of them come again at the same time.
            pause = random.uniform(0.1, 0.5)
            if hop.way.proxy or not was_dropped(error) or time.monotonic() + pause > end:
                raise
            hop.connection.client.close()
            time.sleep(pause)


def _try(hop: _Hop) -> None:
    connection, way = hop.connection, hop.way
    keys = keys_of(way.name, way.known_hosts)
    connection.client.set_missing_host_key_policy(Policy(keys, hop.ssh))
    if not keys.certified:
        # By the kind of a known key, paramiko asks a server that has several for that one.
        name = way.host if way.port == 22 else f"[{way.host}]:{way.port}"
        for key in keys.known:
            connection.client.get_host_keys().add(name, key.get_name(), key)
    says: Callable[[], str] = str
    if way.proxy:
        connection.connect_kwargs["sock"], says = _through(way.proxy)
    try:
        connection.open()
    except (OSError, EOFError, paramiko.SSHException) as error:
        if was_dropped(error) and (said := says()):
            raise paramiko.SSHException(said) from error
        raise
    connection.transport.set_keepalive(KEEPALIVE_SECONDS)
    # For the way on from a jump host: paramiko's own limit is an hour.
    connection.transport.channel_timeout = CONNECT_SECONDS


def _through(command: str) -> tuple[socket.socket, Callable[[], str]]:
    """Return a socket to a ProxyCommand, and what tells its last words.

    Not paramiko's own, which does not notice that the command has ended.
    """
    ours, theirs = socket.socketpair()
    errors = tempfile.TemporaryFile()  # noqa: SIM115, it is read when the command has failed
    argv, end = ["sh", "-c", f"exec {command}"], theirs.fileno()
    subprocess.Popen(argv, stdin=end, stdout=end, stderr=errors)
    theirs.close()

    def says() -> str:
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    return ours, says
