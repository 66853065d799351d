"""The scenario as typed data. Standard library only: it is read before anything is installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from fabfile.scenario.credentials import digest, secret
from fabfile.scenario.inventory import Inventory

ROOT = Path(__file__).resolve().parents[2]
# What this computer keeps of each scenario.
STATES = ROOT / ".state"


class ScenarioError(Exception):
    """What is wrong with a scenario: `.mistakes` holds one sentence each."""

    def __init__(self, source: str, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        lines = "\n".join(f"  - {sentence}" for sentence in mistakes)
        super().__init__(f"{source} has {len(mistakes)} mistake(s), nothing was done:\n{lines}")


@dataclass(frozen=True)
class Login:
    """How to reach a machine by SSH; `key` and `known_hosts` None mean what ssh itself uses."""

    host: str
    user: str | None
    port: int | None
    key: Path | None
    known_hosts: Path | None


@dataclass(frozen=True)
class Machine:
    """One machine: its tier, its address on each network, and how Fabric logs in on it."""

    name: str
    tier: str
    addresses: Mapping[str, IPv4Address]
    login: Login | None  # None for the person's own computer
    interfaces: Mapping[str, str]
    routes: Mapping[IPv4Network, IPv4Address]

    def address(self, network: str) -> str:
        """Answer the machine's address on a network, as text."""
        return str(self.addresses[network])

    def interface(self, network: str) -> str:
        """Answer the name of the machine's interface to a network."""
        return self.interfaces.get(network, network)


@dataclass(frozen=True)
class Application:
    """A twelve-factor application; commands are shell lines run in the release's directory."""

    name: str
    source: str  # a directory, git bundle or tarball, relative to the project, or a git URL
    ref: str  # the commit, branch or tag of a git source; "" takes a directory as it is
    packages: tuple[str, ...]
    build_packages: tuple[str, ...]  # on the machine that builds only
    start: str
    health: str
    build: str
    files: Mapping[str, Path]  # put into the release: name there -> file of this computer
    migrate: str
    seed: str
    secure: str  # replaces the accounts that the seed made, once
    checks: str  # makes the account of the checks, once
    administrator: str  # who can log in at first
    uploads: str  # the directory in the release that is on the volume; "": named by UPLOADS
    temporary: tuple[str, ...]  # directories in the release for what need not last
    connections: int  # to the database, from one server, at most
    memory: int  # MiB
    uid: int  # of its system user, the same on every server
    log: str  # "all" that it prints, or "errors"
    exclude: tuple[str, ...]
    environment: Mapping[str, str]

    @property
    def database(self) -> str:
        """The name of its database, and of the role that owns it."""
        return self.name.replace("-", "_")


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


@dataclass(frozen=True)
class Scenario:
    """All that config.py says, with the servers that were added and without those removed.

    `machines` is in the order of the file, added ones last. `pinned` is the release to run and the
    app server that has it, where it is not the one of the application's source. `absent` names app
    servers in maintenance that cannot be reached: they stay in the scenario, and as they are.
    `new_database` says that an empty database may take the place of one that was there.
    """

    name: str
    networks: Mapping[str, IPv4Network]
    machines: tuple[Machine, ...]
    application: Application
    ports: Mapping[str, int]
    replicas: int
    brick: str
    lab: Lab
    applications: tuple[Application, ...]  # all that are known, the one that runs included
    source: Path = field(default=ROOT / "config.py")
    inventory: Inventory = field(default_factory=Inventory)
    pinned: Pinned | None = None
    absent: frozenset[str] = frozenset()
    new_database: bool = False

    def tier(self, name: str) -> tuple[Machine, ...]:
        """Answer the machines of a tier, in the order of config.py."""
        return tuple(machine for machine in self.machines if machine.tier == name)

    def present(self, tier: str) -> tuple[Machine, ...]:
        """Return the machines of a tier that are there to be changed."""
        return tuple(each for each in self.tier(tier) if each.name not in self.absent)

    @property
    def builder(self) -> Machine:
        """The app server that builds the release and migrates the database: as good as any."""
        return self.present("app")[0]

    def machine(self, name: str) -> Machine:
        """Answer the machine of that name; raises KeyError when there is none."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise KeyError(name)

    def rests(self, machine: Machine) -> bool:
        """Tell whether a server is in maintenance: it gets no clients."""
        return machine.name in self.inventory.maintenance

    @property
    def serving(self) -> tuple[Machine, ...]:
        """The app servers that get clients: all but those in maintenance."""
        return tuple(machine for machine in self.tier("app") if not self.rests(machine))

    @property
    def state(self) -> Path:
        """The directory of the keys and passwords kept on this computer; it is not in git."""
        return STATES / self.name

    def secret(self, name: str) -> str:
        """Answer a secret of this scenario; it is made at first use."""
        return secret(self.state, name)

    @property
    def checks_login(self) -> str:
        """The login of the checks' own account: unknown to strangers, who could lock it out."""
        return f"checks-{digest(self.secret('checks_password'))}"

    @property
    def url(self) -> str:
        """Where the users find the application."""
        port = self.ports["http"]
        address = self.tier("balancer")[0].address("lan2")
        return f"http://{address}/" if port == 80 else f"http://{address}:{port}/"


def inventory_file(name: str) -> Path:
    """Answer where the scenario of that name keeps what differs from its config.py."""
    return STATES / name / "inventory.json"
