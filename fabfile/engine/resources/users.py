"""System users."""

from __future__ import annotations

import shlex
from collections.abc import Set
from dataclasses import dataclass

from fabfile.engine.change import Change, Refused


@dataclass(frozen=True)
class User:
    """A system user without login and with a group of its own name.

    The number is given where files on a shared volume belong to it on every machine; without one,
    the machine gives the next that is free. `remedy` ends the sentence that names who has it.
    """

    name: str
    uid: int | None
    home: str
    remedy: str = ""

    @property
    def key(self) -> str:
        """The name by which others wait for this resource."""
        return f"user {self.name}"

    def probe(self) -> str:
        """Print the lines of the user, and of who has its number, as a user or as a group."""
        number = "" if self.uid is None else str(self.uid)
        group = f"; getent group {number}" if number else ""
        return f"getent passwd {shlex.quote(self.name)} {number}{group}"

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Create the user, or give it the number and home it should have.

        Raises Refused when the number is somebody else's.
        """
        lines = [line.split(":") for line in facts.splitlines()]
        users = {fields[0]: fields for fields in lines if len(fields) == 7}
        own = users.pop(self.name, None)
        if others := [*users, *(g[0] for g in lines if len(g) == 4 and g[0] != self.name)]:
            raise Refused(
                f"the UID {self.uid}, or the group of that number, which {self.name} is to have, "
                f"is that of {others[0]}{self.remedy}"
            )
        name, home = shlex.quote(self.name), shlex.quote(self.home)
        uid = "" if self.uid is None else f"--uid {self.uid} "
        gid = "" if self.uid is None else f"--gid {self.uid} "
        if not own:
            script = (
                # A run killed between the two leaves the group.
                f"getent group {name} >/dev/null || groupadd --system {gid}{name}\n"
                f"useradd --system {uid}--gid {name} --home-dir {home} "
                f"--no-create-home --shell /usr/sbin/nologin {name}"
            )
            return Change(self.key, f"create the user {self.name}", script)
        if (
            (self.uid is None or own[2:4] == [str(self.uid)] * 2)
            and own[5] == self.home
            and own[6].endswith("nologin")
        ):
            return None
        script = (
            f"groupmod {gid}{name}\n" if gid else ""
        ) + f"usermod {uid}--gid {name} --home {home} --shell /usr/sbin/nologin {name}"
        return Change(self.key, f"repair the user {self.name}", script)
