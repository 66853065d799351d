"""What speaks against a volume that is still to be made, looked at before anything is changed."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from fabfile.engine.change import Change, Refused
from fabfile.engine.resources import Run
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.storage.volumes import Volume, library, name_of, uploads


@dataclass(frozen=True)
class Prospects:
    """That GlusterFS will take this server's brick, where there is no volume yet."""

    scenario: Scenario
    machine: Machine
    volume: Volume

    @property
    def key(self) -> str:
        """The name by which others wait for this resource."""
        return f"prospects of the volume {self.volume.name}"

    def probe(self) -> str:
        """Print what may speak against it; nothing once there is a volume."""
        others = [each for each in self.scenario.tier("storage") if each != self.machine]
        names = " ".join(name_of(self.scenario, each) for each in others)
        return f"{library(self.scenario, self.volume)}prospects {names}"

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Change nothing; raises Refused with what speaks against the volume."""
        own = name_of(self.scenario, self.machine)
        for line in facts.splitlines():
            match line.split():
                # The others lie beside it.
                case ["root"] if self.volume == uploads(self.scenario):
                    self._refuse_brick(
                        f"is on the system's own file system, which GlusterFS refuses; mount one "
                        f"of its own at {Path(self.volume.brick).parent}"
                    )
                case ["mounted"]:
                    self._refuse_brick("is a mount point, which GlusterFS refuses")
                case ["from", source, other] if source != own:
                    raise Refused(
                        f"it would speak with {other} from its address {source}, and the others "
                        f"know it as {own}: GlusterFS takes it for a stranger; its routes must "
                        f"lead there from {own} ('ip route get {other}')"
                    )
        if facts.strip():
            self._refuse_newer()
        return None

    def _refuse_brick(self, why: str) -> None:
        raise Refused(
            f"the brick {self.volume.brick} {why}, or name another directory: STORAGE['brick'] "
            f"in {self.scenario.source.name}"
        )

    def _refuse_newer(self) -> None:
        """Raise Refused on the first server when it runs a newer GlusterFS than another."""
        first, *others = self.scenario.tier("storage")
        mine = self.scenario.debian(first)
        for other in others if self.machine == first else ():
            theirs = self.scenario.debian(other)
            if int(theirs.glusterfs) < int(mine.glusterfs):
                raise Refused(
                    f"it runs GlusterFS {mine.glusterfs} ({mine.title}), and {other.name} "
                    f"{theirs.glusterfs} ({theirs.title}), which cannot join a newer one: "
                    f"put {other.name} before {first.name} in {self.scenario.source.name}"
                )


def unmarked(scenario: Scenario, volume: Volume) -> Run:
    """Return what frees a brick of the mark that a volume has left which was never made."""
    functions = library(scenario, volume)
    return Run(
        f"free the brick of a volume {volume.name} that was never made",
        f"{functions}unmark",
        unless=f"{functions}! marked",
    )
