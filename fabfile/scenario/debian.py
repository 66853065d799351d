"""What differs between the releases of Debian: the one table of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Debian:
    """A release of Debian. `version` is VERSION_ID of os-release(5)."""

    codename: str
    version: str
    postgresql: str
    glusterfs: str
    pgbouncer: tuple[int, int]
    distribution: str = "debian"

    @property
    def system(self) -> str:
        """What a machine that runs it says of itself, as `SYSTEM` prints it."""
        return f"{self.distribution} {self.version}"

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.distribution.capitalize()} {self.version}"


RELEASES = (
    Debian("bookworm", "12", postgresql="15", glusterfs="10", pgbouncer=(1, 18)),
    Debian("trixie", "13", postgresql="17", glusterfs="11", pgbouncer=(1, 24)),
)
# Made of Debian, with its names of packages and paths: let in, and never tried.
UNTRIED = (
    Debian("noble", "24.04", "16", glusterfs="11", pgbouncer=(1, 22), distribution="ubuntu"),
)
# What the lab starts a machine with that says nothing else.
DEFAULT = RELEASES[-1]
BY_CODENAME = {release.codename: release for release in RELEASES}


class UnknownSystem(Exception):
    """Why nothing can be said of a machine that runs another system, as one sentence."""


def debian(system: str) -> Debian:
    """Return the release that a machine names as its system; raises UnknownSystem."""
    for release in (*RELEASES, *UNTRIED):
        if release.system == system:
            return release
    known = " and ".join(f"{each.version} ({each.codename})" for each in RELEASES)
    raise UnknownSystem(f"it runs {system or 'no known system'}, and Debian {known} are supported")


def untried(systems: Mapping[str, str]) -> list[str]:
    """Return a sentence for each system on which nobody has tried this; `systems` is by machine."""
    found = {
        each.title: [name for name, system in systems.items() if system == each.system]
        for each in UNTRIED
    }
    return [
        f"{', '.join(names)}: {title} is let in, and nobody has tried this on it"
        for title, names in found.items()
        if names
    ]
