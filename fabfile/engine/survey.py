"""Surveys: what one program tells of many things, so that it starts once and not for each.

To start a program costs a machine more than what the program does: `systemctl show` of one unit
takes as long as of ten. So resources name what they ask for; the engine asks once, before the
probes, which find the answer in a shell variable.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

LIBRARY = Path(__file__).with_suffix(".sh").read_text()


@dataclass(frozen=True)
class Survey:
    """A shell command that tells of all subjects it is given as arguments.

    `variable` is the shell variable in which probes find what it printed, by the functions in
    survey.sh.
    """

    variable: str
    command: str


@runtime_checkable
class Surveyed(Protocol):
    """A resource whose probe reads what surveys tell."""

    @property
    def surveys(self) -> Sequence[tuple[Survey, str]]:
        """The surveys that its probe reads, each with its subject; "" when it takes none."""


def surveyed(resources: Iterable[object]) -> str:
    """Return shell that makes all surveys of the resources, each once."""
    subjects: dict[Survey, dict[str, None]] = {}
    for resource in resources:
        if isinstance(resource, Surveyed):
            for survey, subject in resource.surveys:
                subjects.setdefault(survey, {})[subject] = None
    made = [
        f"{survey.variable}=$({{ {_command(survey, names)}\n}} </dev/null 2>/dev/null)"
        for survey, names in subjects.items()
    ]
    return "\n".join([LIBRARY, *made])


def _command(survey: Survey, subjects: Iterable[str]) -> str:
    return " ".join([survey.command, *(shlex.quote(subject) for subject in subjects if subject)])
