"""What a plan is made of: changes of one machine, as plain data."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

Payload = bytes | Callable[[], bytes]


@dataclass(frozen=True)
class Change:
    """One step that brings a machine nearer to its desired state.

    `script` is the shell that does it, as root; it finds each of `files` (name -> content, or a
    function that answers it when the time comes) at "$payload/NAME". `marker` names a change
    that follows from others, whose keys are its `causes`: it is remembered on the machine from
    before the first of them until it is done, so that a run killed in between leaves it to the
    next one. `confirm` is shell that must succeed over a connection opened after the change, which
    could have locked us out: without it, the change undoes itself.
    """

    key: str
    summary: str
    script: str
    diff: str = ""
    files: Mapping[str, Payload] = field(default_factory=dict)
    marker: str = ""
    confirm: str = ""
    causes: Set[str] = frozenset()
    seconds: float = 120


class Refused(Exception):
    """Why nothing may be changed on a machine that looks as it does: one sentence, with the remedy.

    What a resource raises while it plans, before anything is changed anywhere.
    """


class Resource(Protocol):
    """Something a machine must have. Pure: it prints shell and compares text."""

    @property
    def key(self) -> str:
        """The name by which others wait for a change of this one."""

    def probe(self) -> str:
        """Return the shell that prints the resource's facts; it changes nothing."""

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Compare the facts with what is desired; `changed` holds the keys changed before it.

        Raises Refused when it must not be brought about.
        """


@runtime_checkable
class Noted(Protocol):
    """A resource of which a person should know something that changes nothing."""

    def notes(self, facts: str) -> Sequence[str]:
        """Return what the person should know, a sentence each."""


@runtime_checkable
class Compared(Protocol):
    """A resource that is right or wrong beside those of the same key on other machines."""

    @property
    def key(self) -> str:
        """The name by which others wait for this resource."""

    def among(self, machine: str, everyone: Mapping[str, str], changed: Set[str]) -> Change | None:
        """Do what `plan` does; `everyone` has the facts of all machines, its own among them."""


def unified(path: str, before: str, after: str, note: str = "") -> str:
    """Return the unified diff of a file as it is and as it should be."""
    lines = difflib.unified_diff(
        before.splitlines(),
        after.splitlines(),
        f"{path} (now)",
        f"{path} (desired){note}",
        lineterm="",
    )
    return "\n".join(lines)
