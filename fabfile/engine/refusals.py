"""Why a connection could not be opened, and what to do: one sentence for each reason."""

from __future__ import annotations

import socket

import paramiko

from fabfile.engine.identities import Identities, SecondFactor, Silent
from fabfile.engine.known_hosts import NotCertified, RevokedHostKey, UnknownHostKey
from fabfile.engine.ssh_settings import Settings


def refusal(
    error: Exception,
    way: Settings,
    identities: Identities,
    places: tuple[str, str, str],
    limit: int,
) -> str:
    """Return why a host could not be logged in on, as one sentence with the remedy.

    `places` are those to repair when the host or the key is wrong, and the command that has a host
    key trusted; `limit` is in seconds.
    """
    host_from, key_from, trust_by = places
    where = f"[{way.host}]:{way.port}" if ":" in way.host else f"{way.host}:{way.port}"
    return (
        _of_the_host_key(error, way, where, trust_by)
        or _of_the_user(error, way, where, identities, key_from)
        or _of_the_network(error, way, where, host_from, limit)
    )


def _of_the_host_key(error: Exception, way: Settings, where: str, trust_by: str) -> str:
    known = way.known_hosts[0]
    if isinstance(error, paramiko.BadHostKeyException):
        return (
            f"{where} shows another host key than the one in {known}: it was installed again, "
            f"or someone is in between; when you know which, 'ssh-keygen -R {_quoted(way.name)} "
            f"-f {known}'"
        )
    if isinstance(error, RevokedHostKey):
        return f"{where} shows a host key that {known} revokes: it is not to be trusted any more"
    if isinstance(error, NotCertified):
        return (
            f"{where} shows no host key that the @cert-authority of {known} has signed for "
            f"{way.name}, or 'ssh' finds the certificate out of date"
        )
    if isinstance(error, UnknownHostKey):
        return (
            f"the host key of {where} is not known; '{trust_by}' shows it, to be compared with the "
            f"machine's own, and writes it into {known}"
        )
    return ""


def _quoted(name: str) -> str:
    return f'"{name}"' if "[" in name else name


def _of_the_user(
    error: Exception, way: Settings, where: str, identities: Identities, key_from: str
) -> str:
    if not isinstance(error, paramiko.AuthenticationException):
        return ""
    if isinstance(error, SecondFactor):
        return (
            f"{where} accepts the key of {way.user}, and asks for more ({error}); have it let one "
            "user in by key alone: in its sshd_config, 'Match User' and "
            "'AuthenticationMethods publickey'"
        )
    if identities.locked and not identities.keys:
        file = identities.locked[0]
        return (
            f"the key {file} has a passphrase, and nobody gave it: run this in a terminal, or "
            f"'ssh-add {file}' first"
        )
    if not identities.keys:
        return (
            f"there is no key to log in with as {way.user} at {where}; make one with ssh-keygen, "
            f"or name one in {key_from} or ~/.ssh/config"
        )
    keys = ", ".join(map(str, way.keys)) if way.only_keys else "the keys of ~/.ssh and its agent"
    return (
        f"{where} refuses the user {way.user} with {keys}; put the public key into "
        f"~{way.user}/.ssh/authorized_keys there"
    )


def _of_the_network(error: Exception, way: Settings, where: str, host_from: str, limit: int) -> str:
    if isinstance(error, paramiko.ChannelException) or "opening channel" in str(error):
        return f"its jump host cannot reach {where} ({reason(error)}); is it running, with sshd?"
    if isinstance(error, socket.gaierror):
        return f"the name {way.host} has no address; repair {host_from}"
    if isinstance(error, TimeoutError):
        return f"no answer from {where} within {limit} s; is it running, and there?"
    if isinstance(error, paramiko.SSHException) and "No existing session" in str(error):
        return f"{where} lets us in, but no SSH server speaks there; does the machine hang?"
    if isinstance(error, Silent):
        return f"{where} answers no log-in within {limit} s; does the machine hang?"
    if way.proxy and isinstance(error, (OSError, EOFError, paramiko.SSHException)):
        return f"no way to {where} by the ProxyCommand '{way.proxy}' ({reason(error)}); try it"
    if was_dropped(error):
        return (
            f"{where} ends each connection at once; does its sshd let so many in (MaxStartups), "
            "and from here? One that has seen a wrong key keeps us out for up to a minute "
            "(PerSourcePenalties)"
        )
    if isinstance(error, OSError):
        return f"{where} cannot be reached ({reason(error)}); is it running, with sshd?"
    return f"no SSH with {where}: {reason(error)}; try 'ssh {way.user}@{way.host}'"


def was_dropped(error: Exception) -> bool:
    """Tell whether a server ended a connection that it had let in, as it does with too many."""
    words = ("SSH protocol banner", "Connection reset", "lost connection")
    return isinstance(error, EOFError) or any(each in str(error) for each in words)


def is_silence(error: Exception) -> bool:
    """Tell whether nobody answers there, and not somebody who refuses us."""
    if isinstance(error, socket.gaierror):
        return False
    silent = ("opening channel", "No existing session", "SSH protocol banner")
    return isinstance(error, (OSError, EOFError, paramiko.ChannelException, Silent)) or any(
        words in str(error) for words in silent
    )


def reason(error: Exception) -> str:
    """Return what an error says, in short."""
    if isinstance(error, paramiko.ChannelException):
        return error.text
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
