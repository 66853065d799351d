"""The volumes of GlusterFS that the storage servers have together, each with a brick on each."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from fabfile.scenario import Machine, Scenario
from fabfile.scenario.flows import sources

LIBRARY = Path(__file__).with_name("volume.sh").read_text()


@dataclass(frozen=True)
class Volume:
    """A volume, the directory of its brick on each storage server, and which tiers mount it."""

    name: str
    brick: str
    clients: tuple[str, ...]

    @property
    def info(self) -> str:
        """The file in which glusterd keeps what the volume is."""
        return f"/var/lib/glusterd/vols/{self.name}/info"

    def brick_process(self, server: str) -> str:
        """Return the file of the brick's process number on a server, which has that address."""
        return f"/run/gluster/vols/{self.name}/{server}{self.brick.replace('/', '-')}.pid"


def uploads(scenario: Scenario) -> Volume:
    """Return the volume of what users upload."""
    return Volume("nas", scenario.brick, sources("storage", "bricks"))


def backups(scenario: Scenario) -> Volume:
    """Return the volume of the backups, which only storage servers mount."""
    return Volume("backup", f"{scenario.brick}-backup", ("storage",))


def volumes(scenario: Scenario) -> tuple[Volume, ...]:
    """Return all volumes, that of the uploads first."""
    return uploads(scenario), backups(scenario)


def library(scenario: Scenario, volume: Volume) -> str:
    """Return the shell functions for a volume and its brick, beside which others lie."""
    bricks = " ".join(each.brick for each in volumes(scenario))
    return (
        f"volume={volume.name}\nbrick={shlex.quote(volume.brick)}\n"
        f"bricks={shlex.quote(bricks)}\n{LIBRARY}"
    )


def name_of(scenario: Scenario, machine: Machine) -> str:
    """Return the address by which the storage servers, and the clients, know one of them."""
    return str(machine.addresses[scenario.meeting("storage", "app")])
