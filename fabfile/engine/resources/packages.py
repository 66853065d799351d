"""Debian packages."""

from __future__ import annotations

import shlex
from collections.abc import Set
from pathlib import Path

from fabfile.engine.change import Change, Refused

LIBRARY = Path(__file__).with_suffix(".sh").read_text()
# How long another program may keep dpkg busy: a rented machine updates itself when it boots first.
BUSY_SECONDS = 600
SECONDS = 900


class Packages:
    """Packages that must be installed, without what they only recommend."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.key = "packages " + " ".join(names)

    def probe(self) -> str:
        """Print the name of each package that is installed; `unfinished` when dpkg was stopped."""
        names = " ".join(map(shlex.quote, self.names))
        return (
            f"dpkg-query -W -f='${{db:Status-Abbrev}}${{Package}}\\n' {names}\n"
            'set -- /var/lib/dpkg/updates/*; [ ! -e "$1" ] || echo unfinished'
        )

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Install what is missing; finish first what a killed dpkg left half done.

        Raises Refused when somebody has said that one of them is not to be installed.
        """
        lines = facts.splitlines()
        # dpkg-query(1): what is wanted (install or hold), and that it is installed.
        installed = {line[2:].strip() for line in lines if line.startswith(("ii", "hi"))}
        missing = [name for name in self.names if name not in installed]
        held = {line[2:].strip() for line in lines if line.startswith("h")}
        if kept := [name for name in missing if name in held]:
            raise Refused(
                f"{' '.join(kept)} must be installed, and is held back by 'apt-mark hold'; "
                f"'apt-mark unhold {' '.join(kept)}' there lets deploy do it"
            )
        if not missing and "unfinished" not in lines:
            return None
        names = " ".join(map(shlex.quote, missing))
        script = (
            f"{LIBRARY}\nfinish_interrupted {BUSY_SECONDS}\nupdate_lists {BUSY_SECONDS}\n"
            f"install_packages {BUSY_SECONDS} {names}"
        )
        summary = (
            f"install {' '.join(missing)}" if missing else "finish an interrupted installation"
        )
        return Change(self.key, summary, script, seconds=BUSY_SECONDS + SECONDS)
