"""System users."""

from __future__ import annotations

import shlex
from collections.abc import Set
from dataclasses import dataclass

from fabfile.engine.change import Change


@dataclass(frozen=True)
class User:
    """A system user without login and with a group of its own name.

    The number is given, because files on a shared volume belong to it on every machine.
    """

    name: str
    uid: int
    home: str

    @property
    def key(self) -> str:
        """The name by which others wait for this resource."""
        return f"user {self.name}"

    def probe(self) -> str:
        """Print the user's line of the password database."""
        return f"getent passwd {shlex.quote(self.name)}"

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Create the user, or give it the number and home it should have."""
        fields = facts.strip().split(":")
        name, home = shlex.quote(self.name), shlex.quote(self.home)
        if len(fields) < 7:
            script = (
                # A run killed between the two leaves the group.
                f"getent group {name} >/dev/null || groupadd --system --gid {self.uid} {name}\n"
                f"useradd --system --uid {self.uid} --gid {self.uid} --home-dir {home} "
                f"--no-create-home --shell /usr/sbin/nologin {name}"
            )
            return Change(self.key, f"create the user {self.name}", script)
        if (
            fields[2:4] == [str(self.uid)] * 2
            and fields[5] == self.home
            and fields[6].endswith("nologin")
        ):
            return None
        script = (
            f"groupmod --gid {self.uid} {name}\n"
            f"usermod --uid {self.uid} --gid {self.uid} --home {home} "
            f"--shell /usr/sbin/nologin {name}"
        )
        return Change(self.key, f"repair the user {self.name}", script)
