"""What differs between the releases of Debian: the one table of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Debian:
    """A release of Debian. `version` is VERSION_ID of os-release(5)."""

    codename: str
    version: str
    postgresql: str
    glusterfs: str

    @property
    def system(self) -> str:
        """What a machine that runs it says of itself, as `SYSTEM` prints it."""
        return f"debian {self.version}"


RELEASES = (
    Debian("bookworm", "12", postgresql="15", glusterfs="10"),
    Debian("trixie", "13", postgresql="17", glusterfs="11"),
)
# What the lab starts a machine with that says nothing else.
DEFAULT = RELEASES[-1]
BY_CODENAME = {release.codename: release for release in RELEASES}


class UnknownSystem(Exception):
    """Why nothing can be said of a machine that runs another system, as one sentence."""


def debian(system: str) -> Debian:
    """Return the release that a machine names as its system; raises UnknownSystem."""
    for release in RELEASES:
        if release.system == system:
            return release
    known = " and ".join(f"{each.version} ({each.codename})" for each in RELEASES)
    raise UnknownSystem(f"it runs {system or 'no known system'}, and Debian {known} are supported")
