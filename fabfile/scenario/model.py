"""The scenario as typed data. Standard library only: it is read before anything is installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from fabfile.scenario.authority import AUTHORITY, Certificate, certificate, entry
from fabfile.scenario.credentials import digest, secret
from fabfile.scenario.debian import BY_CODENAME, Debian, debian
from fabfile.scenario.flows import FLOWS, Flow
from fabfile.scenario.inventory import Inventory
from fabfile.scenario.parts import MANAGEMENT, PUBLIC, Application, Lab, Machine, Pinned
from fabfile.scenario.second_place import Access, SecondPlace, access
from fabfile.tiers import TIERS

ROOT = Path(__file__).resolve().parents[2]
# Where this computer keeps what it knows of each scenario, in a directory of its name.
STATES = ROOT / ".state"


class ScenarioError(Exception):
    """What is wrong with a scenario: `.mistakes` holds one sentence each."""

    def __init__(self, source: str, mistakes: list[str]) -> None:
        self.mistakes = mistakes
        lines = "\n".join(f"  - {sentence}" for sentence in mistakes)
        super().__init__(f"{source} has {len(mistakes)} mistake(s), nothing was done:\n{lines}")


@dataclass(frozen=True)
class Scenario:
    """All that config.py says, with the servers that were added and without those removed.

    `machines` is in the order of the file, added ones last. `floating` holds the addresses that the
    machines of a tier share: tier -> network -> address. `pinned` is the release to run and the
    app server that has it, where it is not the one of the application's source. `absent` names
    machines that cannot be reached and may be away, as app servers in maintenance: they stay in the
    scenario, and as they are. `new_database` says that an empty database may take the place of one
    that was there. `systems` is what each machine has said that it runs, as "debian 12": it grows
    as they are looked at. `states` is the directory with the `state` of each scenario.
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
    states: Path = STATES
    replication: str = "synchronous"  # of several databases; "strict", "asynchronous"
    second_place: SecondPlace | None = None  # where copies of the backups go
    floating: Mapping[str, Mapping[str, IPv4Address]] = field(default_factory=dict)
    inventory: Inventory = field(default_factory=Inventory)
    pinned: Pinned | None = None
    absent: frozenset[str] = frozenset()
    new_database: bool = False
    systems: dict[str, str] = field(default_factory=dict)

    def tier(self, name: str) -> tuple[Machine, ...]:
        """Return the machines of a tier, in the order of config.py."""
        return tuple(machine for machine in self.machines if name in machine.tiers)

    def present(self, tier: str) -> tuple[Machine, ...]:
        """Return the machines of a tier that are there to be changed."""
        return tuple(each for each in self.tier(tier) if each.name not in self.absent)

    def machine(self, name: str) -> Machine:
        """Return the machine of that name; raises KeyError when there is none."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise KeyError(name)

    def debian(self, machine: Machine) -> Debian:
        """Return the release of Debian that a machine runs; raises UnknownSystem for another.

        Of one that was never looked at, what the lab starts it with.
        """
        if machine.name in self.systems:
            return debian(self.systems[machine.name])
        return BY_CODENAME[machine.release]

    @property
    def control(self) -> Machine:
        """The person's own computer; raises KeyError when config.py does not name it."""
        for machine in self.tier("control"):
            return machine
        raise KeyError("control")

    @property
    def balancers(self) -> tuple[Machine, ...]:
        """The machines that give the users' requests to the app servers."""
        return self.tier("balancer")

    @property
    def builder(self) -> Machine:
        """The app server that builds the release and migrates the database: as good as any."""
        return self.present("app")[0]

    @property
    def inside(self) -> tuple[Machine, ...]:
        """The machines that are deployed to, and protected: not this computer, nor the users'."""
        return tuple(m for m in self.machines if any(TIERS[tier].inside for tier in m.tiers))

    @property
    def keepers(self) -> tuple[Machine, ...]:
        """The machines that can keep the scenario's lock; the first that can be reached does."""
        others = [machine for machine in self.inside if machine not in self.balancers]
        return (*self.balancers, *others)

    def network(self, one: Machine, other: Machine) -> str:
        """Return the network on which two machines meet.

        The first in NETWORKS' order that both are on; the management network only when there is
        no other. Raises KeyError when they meet on none.
        """
        met = [name for name in self.networks if name in one.addresses and name in other.addresses]
        # By a stable sort the order of NETWORKS stays among the others.
        for name in sorted(met, key=lambda name: name == MANAGEMENT):
            return name
        raise KeyError(f"{one.name} and {other.name} are on no common network")

    def meeting(self, tier: str, other: str) -> str:
        """Return the network on which two tiers meet, the same for all of their machines."""
        for one in self.tier(tier):
            for two in self.tier(other):
                return self.network(one, two)
        raise KeyError(f"{tier} and {other} do not both have machines")

    def address(self, machine: Machine, seen_by: Machine) -> str:
        """Return the address that another machine, or it itself, uses for a machine."""
        return str(machine.addresses[self.network(machine, seen_by)])

    def addresses(self, tier: str, seen_by: str) -> tuple[str, ...]:
        """Return the addresses that machines of one tier use for those of another, each once."""
        found = (
            self.address(machine, other)
            for machine in self.tier(tier)
            for other in self.tier(seen_by)
        )
        return tuple(dict.fromkeys(found))

    def shared(self, machine: Machine) -> dict[str, IPv4Address]:
        """Return network -> address of those that a machine shares with others of its tiers."""
        return {k: v for tier in machine.tiers for k, v in self.floating.get(tier, {}).items()}

    def peers(self, machine: Machine) -> tuple[Machine, ...]:
        """Return the others that a machine shares addresses with."""
        tiers = {*machine.tiers} & self.floating.keys()
        return tuple(m for m in self.machines if m != machine and tiers & {*m.tiers})

    def found_at(self, machine: Machine, network: str) -> str:
        """Return where others find on a network what a machine does: where it is shared, there."""
        return str(self.shared(machine).get(network, machine.addresses[network]))

    def paired(self, tier: str) -> bool:
        """Return whether a tier has more than one machine, any of which may be away."""
        return len(self.tier(tier)) > 1

    @property
    def flows(self) -> tuple[Flow, ...]:
        """The table of who may reach whom, without what only pairs have that are none here."""
        return tuple(f for f in FLOWS if not f.listener.pair or self.paired(f.listener.pair))

    @property
    def inner(self) -> str:
        """The network on which the firewall meets the balancers."""
        return self.meeting("firewall", "balancer")

    def outer(self, gate: Machine) -> str:
        """Return the network on which the users come to a firewall."""
        inside = (MANAGEMENT, self.inner)
        return next(name for name in self.networks if name in gate.addresses and name not in inside)

    @property
    def guarded(self) -> tuple[Machine, ...]:
        """The machines that let in only what they must: all, where no firewall stands before."""
        return () if self.tier("firewall") else self.inside

    @property
    def entry(self) -> str:
        """The address at which the users find the application.

        Behind a firewall it is where that finds the balancer. Without one it is the balancer's
        public address, else the one that the clients see, else the first that it has. Of several
        balancers, it is the one that they share there.
        """
        (balancer, *_) = self.balancers
        if self.tier("firewall"):
            return self.found_at(balancer, self.inner)
        if PUBLIC in balancer.addresses:
            return self.found_at(balancer, PUBLIC)
        for client in self.tier("client"):
            return self.found_at(balancer, self.network(balancer, client))
        return self.found_at(balancer, next(iter(balancer.addresses)))

    @property
    def database_address(self) -> str:
        """The address at which the app servers find the database."""
        for shared in self.floating.get("database", {}).values():
            return str(shared)
        (address, *_) = self.addresses("database", seen_by="app")
        return address

    def in_maintenance(self, machine: Machine) -> bool:
        """Tell whether a server is in maintenance: it gets no clients."""
        return machine.name in self.inventory.maintenance

    @property
    def serving(self) -> tuple[Machine, ...]:
        """The app servers that get clients: all but those in maintenance."""
        return tuple(each for each in self.tier("app") if not self.in_maintenance(each))

    @property
    def state(self) -> Path:
        """The directory of the keys and passwords kept on this computer; it is not in git."""
        return self.states / self.name

    def secret(self, name: str) -> str:
        """Return a secret of this scenario; raises SecretError when it has not been made."""
        return secret(self.state, name)

    @property
    def certified(self) -> tuple[Machine, ...]:
        """The machines that have a certificate of the scenario's own authority."""
        return tuple(m for m in self.machines if any(TIERS[tier].certified for tier in m.tiers))

    def certificate(self, machine: Machine) -> Certificate:
        """Return a machine's certificate; raises SecretError when none has been issued."""
        return certificate(self.state, self.certificate_entry(machine))

    def certificate_entry(self, machine: Machine) -> str:
        """Return what a machine's certificate is issued for: where other machines find it."""
        found = (self.address(machine, seen_by=other) for other in self.certified)
        return entry(machine.name, dict.fromkeys(found))

    @property
    def authority(self) -> str:
        """The certificate of the scenario's authority, as PEM; raises SecretError without it."""
        return certificate(self.state, AUTHORITY).certificate

    @property
    def access(self) -> Access:
        """What lets in at the second place; raises SecretError when it has not been read."""
        return access(self.state)

    @property
    def checks_login(self) -> str:
        """The login of the checks' own account: unknown to strangers, who could lock it out."""
        return f"checks-{digest(self.secret('checks_password'))}"

    @property
    def url(self) -> str:
        """Where the users find the application."""
        port = self.ports["http"]
        return f"http://{self.entry}/" if port == 80 else f"http://{self.entry}:{port}/"


def inventory_file(state: Path) -> Path:
    """Return where a scenario with that state keeps what differs from its config.py."""
    return state / "inventory.json"
