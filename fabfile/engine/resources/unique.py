"""What no two machines may have the same of."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from fabfile.engine.change import Change, Refused


@dataclass(frozen=True)
class Unique:
    """Something that each machine has its own of, as copies of a machine do not.

    `command` is shell that prints it. `remedy` ends the sentence that names both machines. It
    changes nothing; what the machines have is compared when all were looked at.
    """

    what: str
    command: str
    remedy: str

    @property
    def key(self) -> str:
        """The name by which others wait for this resource."""
        return self.what

    def probe(self) -> str:
        """Print what the machine has."""
        return self.command

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Change nothing: one machine alone is as it should be."""
        return None

    def among(self, machine: str, everyone: Mapping[str, str], changed: Set[str]) -> Change | None:
        """Change nothing; raises Refused when a machine before it has the same."""
        mine = everyone[machine].strip()
        for name, theirs in everyone.items():
            if name == machine:
                break
            if mine and theirs.strip() == mine:
                raise Refused(f"{self.what}, {mine}, is also that of {name}: {self.remedy}")
        return None
