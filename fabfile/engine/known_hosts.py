"""What known_hosts files say of a host, see sshd(8): which keys are its own, revoked, certifying.

Lines that cannot be read are skipped with a warning: one of them must not keep anybody out.
"""

from __future__ import annotations

import base64
import binascii
import logging
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import paramiko
from paramiko.hostkeys import HostKeys
from paramiko.pkey import UnknownKeyType

log = logging.getLogger(__name__)
REVOKED, AUTHORITY = "@revoked", "@cert-authority"
CERTIFICATES = "*-cert-v01@openssh.com"


@dataclass(frozen=True)
class _Line:
    marker: str
    names: tuple[str, ...]
    kind: str
    key: bytes


@dataclass(frozen=True)
class Unknown:
    """A host key that no file has: the host's name in known_hosts, and the file it belongs into."""

    name: str
    key: paramiko.PKey
    file: Path


@dataclass
class KnownKeys:
    """The keys of one host: those it may show, those it must not, and whether others certify it."""

    known: list[paramiko.PKey] = field(default_factory=list)
    revoked: list[paramiko.PKey] = field(default_factory=list)
    certified: bool = False


class UnknownHostKey(paramiko.SSHException):
    """A host shows a key that no file has."""

    def __init__(self, hostname: str, key: paramiko.PKey) -> None:
        self.key = key
        super().__init__(hostname)


class RevokedHostKey(paramiko.SSHException):
    """A host shows a key that a file revokes."""


class NotCertified(paramiko.SSHException):
    """A host shows no certificate of the authority that a file names for it."""


class Policy(paramiko.MissingHostKeyPolicy):
    """Accepts what the files say of a host; `ssh` is OpenSSH's own command for it.

    paramiko reads no certificates of hosts, so OpenSSH judges them.
    """

    def __init__(self, keys: KnownKeys, ssh: Sequence[str]) -> None:
        self._keys = keys
        self._ssh = ssh

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        """Raise what is wrong with the key that a host shows."""
        if key in self._keys.revoked:
            raise RevokedHostKey(hostname)
        if key in self._keys.known:
            return
        if not self._keys.certified:
            raise UnknownHostKey(hostname, key)
        if not _is_certified(self._ssh, key):
            raise NotCertified(hostname)


def keys_of(name: str, files: Iterable[Path]) -> KnownKeys:
    """Return what files say of a host, by the name that known_hosts has for it."""
    found = KnownKeys()
    for line in (line for file in files for line in _lines(file) if _names(line, name)):
        if line.marker == AUTHORITY:
            found.certified = True
            continue
        try:
            key = paramiko.PKey.from_type_string(line.kind, line.key)
        except UnknownKeyType:
            continue  # as one of a hardware token, that paramiko does not speak
        except Exception:
            log.warning("a key of %s in known_hosts cannot be read, and is left out", name)
            continue
        (found.revoked if line.marker == REVOKED else found.known).append(key)
    found.known = [key for key in found.known if key not in found.revoked]
    return found


def remember(found: Unknown) -> None:
    """Write a key to its file: it is trusted from then on."""
    found.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = found.file.read_text() if found.file.exists() else ""
    end = "\n" if text and not text.endswith("\n") else ""
    with found.file.open("a") as file:
        file.write(f"{end}{found.name} {found.key.get_name()} {found.key.get_base64()}\n")


def _lines(file: Path) -> tuple[_Line, ...]:
    """Return the lines of a file; as long as it stays as it is, it is read once for all hosts."""
    if not file.is_file():
        return ()
    now = file.stat()
    return _read(file, now.st_mtime_ns, now.st_size)


@cache
def _read(file: Path, _changed: int, _size: int) -> tuple[_Line, ...]:
    found = []
    for number, text in enumerate(file.read_text(errors="replace").splitlines(), 1):
        words = text.split()
        if not words or words[0].startswith("#"):
            continue
        marker = words.pop(0) if words[0].startswith("@") else ""
        try:
            names, kind, key = words[:3]
            if marker not in ("", REVOKED, AUTHORITY):
                raise ValueError(marker)
            data = base64.b64decode(key, validate=True)
            if not data[4:].startswith(kind.encode()):  # RFC 4253, section 6.6
                raise ValueError(kind)
            found.append(_Line(marker, tuple(names.split(",")), kind, data))
        except (ValueError, binascii.Error):
            log.warning("line %d of %s cannot be read, and is left out", number, file)
    return tuple(found)


def _names(line: _Line, name: str) -> bool:
    """Tell whether a line is about a host: hashed, by its name, or by patterns."""
    matched = False
    for pattern in line.names:
        if pattern.startswith("|1|"):
            matched |= HostKeys.hash_host(name, pattern) == pattern
        elif pattern.startswith("!"):
            if _fits(name, pattern[1:]):
                return False
        else:
            matched |= _fits(name, pattern)
    return matched


def _fits(name: str, pattern: str) -> bool:
    # Brackets are part of names here, and no set of characters.
    return name == pattern or fnmatchcase(name, pattern.replace("[", "[[]").lower())


def _is_certified(ssh: Sequence[str], key: paramiko.PKey) -> bool:
    """Tell whether OpenSSH finds a certificate of this very key that an authority has signed."""
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "PreferredAuthentications=none"]
    options += [f"HostKeyAlgorithms={CERTIFICATES}", "LogLevel=DEBUG1", "ConnectTimeout=10"]
    argv = [ssh[0], "-T", *(word for option in options for word in ("-o", option)), *ssh[1:]]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    shown = f" {key.fingerprint}, "
    lines = done.stderr.splitlines()
    return any("Server host certificate: " in line and shown in line for line in lines) and any(
        " is known and matches the " in line and "host certificate" in line for line in lines
    )
