"""Where Debian keeps PostgreSQL's cluster, which it names by the version."""

from __future__ import annotations

from pathlib import Path

from fabfile.scenario import Machine, Scenario
from fabfile.scenario.debian import Debian

SHELL = Path(__file__).with_name("state.sh").read_text()


def library(scenario: Scenario) -> str:
    """Return the shell functions for the cluster of the database server."""
    machine, *_ = scenario.tier("database")
    return f"version={scenario.debian(machine).postgresql}\n{SHELL}"


def own(scenario: Scenario, machine: Machine) -> tuple[str, ...]:
    """Return the addresses of its own by which the app servers see a machine."""
    found = (scenario.address(machine, seen_by=app) for app in scenario.tier("app"))
    return tuple(dict.fromkeys(found))


def reached(scenario: Scenario, machine: Machine) -> tuple[str, ...]:
    """Return its own addresses, and those that it shares with the other databases."""
    shared = scenario.floating.get("database", {}).values()
    return (*own(scenario, machine), *map(str, shared))


def unit_of(release: Debian) -> str:
    """Return the systemd unit of the cluster, which Debian names by PostgreSQL's version."""
    return f"postgresql@{release.postgresql}-main.service"


def data(release: Debian) -> str:
    """Return where its data are, unless a person has moved them."""
    return f"/var/lib/postgresql/{release.postgresql}/main"


def program(name: str, release: Debian) -> str:
    """Return the path of a program of PostgreSQL's own.

    Not /usr/bin/psql: that is a Perl script, which looks for a cluster for longer than psql works.
    """
    return f"/usr/lib/postgresql/{release.postgresql}/bin/{name}"
