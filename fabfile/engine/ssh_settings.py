"""How ssh itself would reach a host: what `ssh -G` makes of a person's ~/.ssh/config.

OpenSSH reads its files, so that `Include`, `Match` and whatever comes later mean what they mean to
it, and its complaints are those that the person knows.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import pwd
import re
import shlex
import socket
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SYSTEM = Path("/etc/ssh/ssh_config")
# What Debian's own files say; none of it matters to us. The file is systemd's, for machines of
# its own that no network leads to.
HARMLESS = {"host", "include", "sendenv", "hashknownhosts", "gssapiauthentication"}
HARMLESS_FILES = {"20-systemd-ssh-proxy.conf"}
DEFAULT_KEYS = ("id_rsa", "id_ecdsa", "id_ed25519")
JUMP = re.compile(
    r"(?:ssh://)?(?:(?P<user>\S+)@)?(?:\[(?P<six>[^]]+)\]|(?P<host>[^@:/]+))(?::(?P<port>\d+))?/?"
)


class NoSettings(Exception):
    """Why ssh's settings cannot be had, as one sentence."""


@dataclass(frozen=True)
class Settings:
    """How ssh reaches a host: `name` is what known_hosts calls it, `jumps` begins with the first.

    `only_keys` says that an agent's other keys are not tried; `agent` is the path of its socket.
    """

    host: str
    user: str
    port: int
    name: str
    keys: tuple[Path, ...]
    known_hosts: tuple[Path, ...]
    agent: str = ""
    only_keys: bool = False
    jumps: tuple[str, ...] = ()
    proxy: str = ""


def split(target: str) -> tuple[str, str | None, int | None]:
    """Return host, user and port of a target as ProxyJump has it; raises NoSettings."""
    match = JUMP.fullmatch(target)
    if not match:
        raise NoSettings(f"{target!r} is no jump host; it must be like user@host:port")
    return match["six"] or match["host"], match["user"], int(match["port"] or 0) or None


@cache
def settings(host: str, user: str | None, port: int | None) -> Settings:
    """Return how ssh reaches a host, where user and port are given if not None.

    Raises NoSettings with what OpenSSH says of its file.
    """
    said = _asked(host, user, port) if _own_settings() else {}
    host_there = said.get("hostname", [host])[0]
    port_there = int(said.get("port", [str(port or 22)])[0])
    alias = said.get("hostkeyalias", [host_there.lower()])[0]
    at_port = alias if port_there == 22 or "hostkeyalias" in said else f"[{alias}]:{port_there}"
    found = Settings(
        host=host_there,
        user=said["user"][0] if "user" in said else user or getpass.getuser(),
        port=port_there,
        name=at_port,
        keys=(),
        known_hosts=(),
        only_keys=said.get("identitiesonly", ["no"])[0] == "yes",
        jumps=tuple(_unless_none(said, "proxyjump").split(",")) if "proxyjump" in said else (),
    )
    expand = _Expansion(host, found)
    names = said.get("identityfile", [f"~/.ssh/{name}" for name in DEFAULT_KEYS])
    agent = said.get("identityagent", ["SSH_AUTH_SOCK"])[0]
    if agent == "SSH_AUTH_SOCK" or (agent.startswith("$") and "{" not in agent):
        agent = os.environ.get(agent.lstrip("$"), "")
    files = [*_known_hosts(said), *said.get("globalknownhostsfile", _global())]
    return Settings(
        **{
            **found.__dict__,
            "jumps": tuple(hop for hop in found.jumps if hop),
            "keys": tuple(expand.path(name) for name in names if name != "none"),
            "known_hosts": tuple(expand.path(name) for name in " ".join(files).split()),
            "agent": "" if agent == "none" else str(expand.path(agent)) if agent else "",
            "proxy": expand.tokens(_unless_none(said, "proxycommand")),
        }
    )


def own_file() -> list[str]:
    """Return the option that has ssh read the person's file where $HOME says that it is.

    By itself, ssh looks where the account is at home.
    """
    own = Path.home() / ".ssh" / "config"
    elsewhere = own.is_file() and str(Path.home()) != _home_of_the_account()
    return ["-F", str(own)] if elsewhere else []


def _unless_none(said: dict[str, list[str]], word: str) -> str:
    value = said.get(word, ["none"])[0]
    return "" if value == "none" else value


def _known_hosts(said: dict[str, list[str]]) -> list[str]:
    """Return the person's files: the usual ones are at home, where $HOME says that is."""
    usual = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]
    named = said.get("userknownhostsfile", usual)
    home = _home_of_the_account()
    return usual if named == [" ".join(usual).replace("~", home)] else named


def _global() -> list[str]:
    return ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]


def _home_of_the_account() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""  # an account that this computer does not know


@cache
def _own_settings() -> Path | None:
    """Return a file with settings other than Debian's own; to ask ssh takes time."""
    own = Path.home() / ".ssh" / "config"
    if own.is_file():
        return own
    parts = sorted(SYSTEM.with_name("ssh_config.d").glob("*.conf"))
    for file in [SYSTEM, *(part for part in parts if part.name not in HARMLESS_FILES)]:
        if file.is_file() and not HARMLESS.issuperset(_words(file)):
            return file
    return None


def _words(file: Path) -> set[str]:
    lines = [line.strip() for line in file.read_text(errors="replace").splitlines()]
    return {
        re.split(r"[\s=]", line)[0].lower() for line in lines if line and not line.startswith("#")
    }


def _asked(host: str, user: str | None, port: int | None) -> dict[str, list[str]]:
    """Return what `ssh -G` says: word -> values; raises NoSettings."""
    argv = ["ssh", "-G", "-T", *own_file()]
    argv += [*(["-l", user] if user else []), *(["-p", str(port)] if port else []), "--", host]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        raise NoSettings(
            f"{_own_settings()} has settings, and there is no ssh to read them: install "
            "openssh-client"
        ) from None
    except subprocess.TimeoutExpired:
        raise NoSettings(f"'{shlex.join(argv)}' does not end; see {_own_settings()}") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if ": terminating" not in line]
        raise NoSettings(f"ssh does not take its settings ({'; '.join(lines)}); repair that line")
    said: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        word, _, value = line.partition(" ")
        said.setdefault(word.lower(), []).append(value)
    return said


class _Expansion:
    """What ssh puts in place of ~, ${VARIABLE} and %token, see TOKENS in ssh_config(5)."""

    def __init__(self, given: str, found: Settings) -> None:
        here, jumps = socket.gethostname(), ",".join(found.jumps)
        who = getpass.getuser()
        whole = f"{here}{found.host}{found.port}{found.user}{jumps}"
        self._tokens = {
            "%": "%",
            "C": hashlib.sha1(whole.encode(), usedforsecurity=False).hexdigest(),
            "d": str(Path.home()),
            "h": found.host,
            "i": str(os.getuid()),
            "j": jumps,
            "k": found.name,
            "L": here.partition(".")[0],
            "l": here,
            "n": given,
            "p": str(found.port),
            "r": found.user,
            "u": who,
        }

    def tokens(self, text: str) -> str:
        """Return a text with each %token replaced."""
        return re.sub(r"%(.)", lambda m: self._tokens.get(m[1], m[0]), text)

    def path(self, text: str) -> Path:
        """Return the path that a text names."""
        named = re.sub(r"\$\{(\w+)\}", lambda m: os.environ.get(m[1], ""), text.strip('"'))
        return Path(self.tokens(named)).expanduser()
