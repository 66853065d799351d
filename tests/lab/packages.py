"""Packages that a test needs on a machine for a while, and what they bring along."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.lab import Lab

APT = "DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0"
LISTED = "dpkg-query -W -f '${Package} ${db:Status-Status}\\n'"


@contextmanager
def borrowed(lab: Lab, name: str, *packages: str) -> Iterator[None]:
    """Install packages on a machine, and take away all that came with them."""
    before = lab.do(name, LISTED)
    install = f"{APT} install --no-install-recommends {' '.join(packages)} >/dev/null 2>&1"
    lab.do(name, f"{install} || {{ {APT} update; {install}; }}", limit=120)
    try:
        yield
    finally:
        new = sorted({*lab.do(name, LISTED).splitlines()} - {*before.splitlines()})
        names = " ".join(line.split()[0] for line in new)
        lab.do(name, f"{APT} purge {names} >/dev/null 2>&1", limit=120)
        assert lab.do(name, LISTED) == before
