"""Debian packages."""

from __future__ import annotations

import shlex
from collections.abc import Set

from fabfile.engine.change import Change

# apt waits for another apt; dpkg keeps configuration files that are already there (man apt.conf).
INSTALL = (
    "DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "
    "-o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "
    "-o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-confdef"
)


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
            "ls /var/lib/dpkg/updates | grep -q . && echo unfinished"
        )

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Install what is missing; finish first what a killed dpkg left half done."""
        lines = facts.splitlines()
        installed = {line[2:].strip() for line in lines if line.startswith("ii")}
        missing = [name for name in self.names if name not in installed]
        if not missing and "unfinished" not in lines:
            return None
        names = " ".join(map(shlex.quote, missing))
        script = (
            "DEBIAN_FRONTEND=noninteractive dpkg --force-confold --force-confdef --configure -a\n"
            "apt-get -qq update -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3\n"
            f"{INSTALL} {names}"
        )
        summary = (
            f"install {' '.join(missing)}" if missing else "finish an interrupted installation"
        )
        return Change(self.key, summary, script, seconds=900)
