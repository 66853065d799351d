"""The parts of a scenario as typed data: machines, applications, the lab.

Standard library only: they are read before anything is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from fabfile.scenario.debian import DEFAULT

# The network of people and packages: two machines ask each other on it only if there is no other.
MANAGEMENT = "management"
# The network of addresses that anybody on the Internet can come to, where a scenario has one.
PUBLIC = "public"


@dataclass(frozen=True)
class Login:
    """How to reach a machine by SSH; `key` and `known_hosts` None mean what ssh itself uses.

    `host_from` and `key_from` are the entries of config.py that say which ones, `trust_by` is the
    command that has a new host key trusted.
    """

    host: str
    user: str | None
    port: int | None
    key: Path | None
    known_hosts: Path | None
    host_from: str
    key_from: str
    trust_by: str = "invoke hosts.trust"


@dataclass(frozen=True)
class Machine:
    """One machine: its tiers, its address on each network, and how Fabric logs in on it."""

    name: str
    tiers: tuple[str, ...]
    addresses: Mapping[str, IPv4Address]
    login: Login | None  # None for the person's own computer
    interfaces: Mapping[str, str]
    routes: Mapping[IPv4Network, IPv4Address]
    release: str = DEFAULT.codename  # of Debian, that the lab starts it with
    open: tuple[tuple[str, int], ...] = ()  # protocol and port of what is not of the scenario

    @property
    def ssh(self) -> Login:
        """How Fabric logs in on it; raises KeyError for the person's own computer."""
        if self.login is None:
            raise KeyError(f"nobody logs in on {self.name}")
        return self.login

    @property
    def management(self) -> str:
        """The address that people and packages come by; raises KeyError when it has none."""
        return str(self.addresses[MANAGEMENT])

    def interface(self, network: str) -> str:
        """Return the name of the machine's interface to a network."""
        return self.interfaces.get(network, network)


@dataclass(frozen=True)
class Process:
    """What runs of an application beside its web process: on every app server, or on one."""

    name: str
    start: str
    single: bool  # on exactly one server; another takes over when that is gone


@dataclass(frozen=True)
class Application:
    """A twelve-factor application; commands are shell lines run in the release's directory."""

    name: str
    source: str  # a directory, git bundle or tarball, relative to the project, or a git URL
    ref: str  # the commit, branch or tag of a git source; "" takes a directory as it is
    packages: tuple[str, ...]
    build_packages: tuple[str, ...]  # on the machine that builds only
    start: str
    processes: tuple[Process, ...]
    health: tuple[str, ...]  # pages that answer 200; the first tells that it works at all
    build: str
    files: Mapping[str, Path]  # put into the release: name there -> file of this computer
    migrate: str
    seed: str
    secure: str  # replaces the accounts that the seed made, once
    checks: str  # makes the account of the checks, once
    missing: str  # prints each upload that the database knows of and that is not there
    administrator: str  # who can log in at first
    uploads: str  # the directory in the release that is on the volume; "": named by UPLOADS
    temporary: tuple[str, ...]  # directories in the release for what need not last
    connections: int  # to the database, from all processes of one server, at most
    pool: str  # when another may have its connection: behind the "session", or each "transaction"
    memory: int  # MiB
    uid: int  # of its system user, the same on every server
    log: str  # "all" that it prints, or "errors"
    exclude: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def database(self) -> str:
        """The name of its database, and of the role that owns it."""
        return self.name.replace("-", "_")

    @property
    def sessions(self) -> int:
        """How many sessions of PostgreSQL one server may hold, those of the deployer too."""
        return self.locks + (self.connections if self.pool == "session" else 0)

    @property
    def locks(self) -> int:
        """How many of its processes hold a lock in the database, or wait for it: past a pooler."""
        return sum(process.single for process in self.processes)


@dataclass(frozen=True)
class Lab:
    """Where the lab keeps its machines on this computer, and what it needs of it."""

    directory: Path
    bridge_prefix: str
    disk_mb: int
    memory_mb: int


@dataclass(frozen=True)
class Pinned:
    """A release that some app server has already, to run instead of the source's own."""

    release: str
    holder: str
