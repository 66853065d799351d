"""What a check is, and what all groups of checks share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fabfile.engine import sent
from fabfile.engine.remote import MachineError, Output, Remote
from fabfile.scenario import Machine, Scenario

# How long a machine may take to tell something: one that is busy with other work is no fault.
SECONDS = 20

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Check:
    """A sentence that is true or false, and what was seen; a warning fails nothing."""

    name: str
    ok: bool
    seen: str
    warning: bool = False


class Unreachable:
    """Stands in for a machine that could not be reached: each use says so at once."""

    def __init__(self, error: MachineError) -> None:
        self._error = error

    def run(self, script: str, *, seconds: float = 0) -> Output:
        """Raise why the machine could not be reached."""
        raise self._error

    def pipe(self, command: str, data: bytes, *, seconds: float = 0) -> Output:
        """Raise why the machine could not be reached."""
        raise self._error


@dataclass(frozen=True)
class Site:
    """The scenario, a connection to each of its machines, and what listens on those.

    `listening` holds (address, TCP port) pairs of each machine that was reached.
    """

    scenario: Scenario
    remotes: Mapping[str, Remote | Unreachable]
    listening: Mapping[str, Set[tuple[str, int]]] = field(default_factory=dict)

    def first(self, tier: str) -> Machine:
        """Return a machine of a tier that can be asked for all: the first that was reached.

        The first of all when none was: to use it says why it cannot be reached.
        """
        return self.first_of(self.scenario.present(tier) or self.scenario.tier(tier))

    def first_of(self, machines: Sequence[Machine]) -> Machine:
        """Return the first of some machines that was reached, of all of them when none was."""
        found = [each for each in machines if isinstance(self.remotes.get(each.name), Remote)]
        return (found or machines)[0]

    def run(self, machine: str, script: str, seconds: float = SECONDS) -> str:
        """Run a shell script as root on a machine; answers its output whatever the exit code."""
        return sent.said(self.remotes[machine].run(script, seconds=seconds))

    def program(self, machine: str, path: Path, given: object, seconds: float = SECONDS) -> Any:
        """Run a file's program as root on a machine; answer what its `main(given)` returns.

        `given` and the answer are what a Python literal can say. The file must do with Debian's
        python3-minimal. Raises RuntimeError, in one line, when the program fails.
        """
        return sent.answer(machine, self.remotes[machine], path, given, seconds)


def judged(name: str, judge: Callable[[], tuple[bool, str]]) -> Check:
    """Return the check of that name; whatever goes wrong in it makes it false, in one line."""
    try:
        ok, seen = judge()
    except Exception as error:
        lines = str(error).strip().splitlines()
        return Check(name, False, _printable(lines[0] if lines else type(error).__name__))
    return Check(name, ok, _printable(seen))


def _printable(text: str) -> str:
    # The names of files may hold anything, also line ends, and bytes that are no letters.
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def together(machines: Sequence[Machine], work: Callable[[Machine], Answer]) -> dict[str, Answer]:
    """Return machine name -> what `work` answers for it, all at once; raises the first error."""
    with ThreadPoolExecutor(max(1, len(machines))) as pool:
        answers = pool.map(work, machines)
        return {machine.name: answer for machine, answer in zip(machines, answers, strict=True)}
