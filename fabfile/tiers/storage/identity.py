"""Who a storage server is to the others: an empty machine in its place becomes the same member.

GlusterFS knows a member by the UUID that it made for itself. The members that are left know that
of the lost one, and tell the volume to whoever comes with it. As "Replacing a Host Machine with the
Same Hostname" in Red Hat's Gluster Storage Administration Guide does it by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from fabfile.engine.change import Change, Refused
from fabfile.engine.resources import Run
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.storage.volumes import Volume, library, name_of, uploads


@dataclass(frozen=True)
class Member:
    """What a server has: its UUID, GlusterFS' version of the pool, and the volumes it knows.

    `peers` has the UUID of each other member -> the addresses that it is known by.
    """

    uuid: str
    version: str
    volumes: tuple[str, ...]
    peers: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Identity:
    """That a server is the member of the pool that the others know by its address."""

    scenario: Scenario

    key = "the identity in the pool"

    def probe(self) -> str:
        """Print what glusterd knows of itself and the others."""
        return f"{self._library}identity"

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Change nothing: one server alone is whoever it is."""
        return None

    def among(self, machine: str, everyone: Mapping[str, str], changed: Set[str]) -> Change | None:
        """Give a server that lost the volume the identity that those who have it remember."""
        seen = {name: member(facts) for name, facts in everyone.items()}
        stands_for_all = uploads(self.scenario).name
        left = {name: each for name, each in seen.items() if stands_for_all in each.volumes}
        if machine in left or not left:
            return None
        addresses = {each.name: name_of(self.scenario, each) for each in self._servers}
        uuids = {name: each.uuid for name, each in left.items()}
        for each in left.values():
            for uuid, known_as in each.peers.items():
                for name, address in addresses.items():
                    if address in known_as and uuids.setdefault(name, uuid) != uuid:
                        raise Refused(f"the others know {name} by two UUIDs: 'gluster pool list'")
        own = uuids.pop(machine, "")
        if not own:
            return None  # it was never a member
        one = next(iter(left.values()))
        info = f"UUID={own}\noperating-version={one.version}\n"
        told = "".join(f"{name}\n" for name in one.volumes)
        peers = {
            f"peer-{uuid}": f"uuid={uuid}\nstate=3\nhostname1={addresses[name]}\n".encode()
            for name, uuid in uuids.items()
        }
        summary = f"be again the member of the pool that {', '.join(left)} remember"
        script = f'{self._library}restore "$payload"'
        files = {"glusterd.info": info.encode(), "volumes": told.encode(), **peers}
        return Change(self.key, summary, script, files=files)

    @property
    def _library(self) -> str:
        """The shell functions; the volume of the uploads stands for the pool."""
        return library(self.scenario, uploads(self.scenario))

    @property
    def _servers(self) -> tuple[Machine, ...]:
        return self.scenario.tier("storage")


def member(facts: str) -> Member:
    """Return what a server has, from what `identity` of volume.sh printed."""
    lines = facts.splitlines()
    own = dict(line.split("=", 1) for line in lines if "=" in line)
    peers = [line.split()[1:] for line in lines if line.startswith("peer ")]
    known = {uuid: tuple(names) for uuid, *names in peers}
    has = tuple(line.split()[1] for line in lines if line.startswith("volume "))
    return Member(own.get("UUID", ""), own.get("operating-version", ""), has, known)


@dataclass(frozen=True)
class Common(Run):
    """Something of the volume as a whole, which a server gets back together with its identity."""

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Run it where the server has been a member all the time."""
        return None if Identity.key in changed else super().plan(facts, changed)


@dataclass(frozen=True)
class Taken(Run):
    """That the volume has taken the brick, which may lie on a new disk, or a new machine.

    `state` is what is probed, `place` the directory above the brick.
    """

    state: str = ""
    place: str = ""

    def probe(self) -> str:
        """Print `done` where there is nothing to take, `root` where no disk is for it."""
        return self.state

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Take it, also when the volume has just come to know the server again.

        Raises Refused where it would be taken on the system's own disk.
        """
        lines = facts.splitlines()
        if "root" in lines:
            raise Refused(
                f"the brick is gone, and {self.place} is on the system's own file system: mount "
                "the brick's there, an empty one if the old one is lost"
            )
        return None if "done" in lines and Identity.key not in changed else self.change()


def taken(scenario: Scenario, machine: Machine, volume: Volume) -> Taken:
    """Return that the brick of a server is the volume's: what the others hold is copied to it."""
    brick = f"{name_of(scenario, machine)}:{volume.brick}"
    functions = library(scenario, volume)
    return Taken(
        f"take the brick into the volume {volume.name}",
        f"{functions}take {brick}",
        unless=f"{functions}is_taken || ! is_made",
        state=f"{functions}state_of_brick",
        place=str(Path(volume.brick).parent),
    )
