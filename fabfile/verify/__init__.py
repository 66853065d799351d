"""Whether the running scenario is what config.py promises, seen from outside of deploy."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType

from fabfile.engine.remote import MachineError, Remote
from fabfile.engine.script import SYSTEM
from fabfile.scenario import Scenario
from fabfile.tiers import TIERS
from fabfile.verify import clocks, floating, matrix, perimeter, services
from fabfile.verify.check import Check, Site, Unreachable

__all__ = ["Check", "verify"]


def verify(scenario: Scenario) -> Iterator[Check]:
    """Check the whole scenario; answers every check as soon as it is known, whatever failed."""
    # Whatever ends this early waits for the checks under way: they remove what they have written.
    groups = rooms()
    with _site(scenario) as site, ThreadPoolExecutor(len(groups)) as pool:
        running = [pool.submit(room.checks, site) for room in groups]
        try:
            for group in running:
                yield from group.result()
        except BaseException:
            _hurry(site)
            raise


def rooms() -> list[ModuleType]:
    """Return the modules that hold checks: those of each tier, and what spans them."""
    found = [tier.room("checks") for tier in TIERS.values()]
    return [*(room for room in found if room), services, clocks, floating, perimeter, matrix]


def _hurry(site: Site) -> None:
    """End what runs on a client, which leaves nothing and takes longest."""
    for machine in site.scenario.tier("client"):
        remote = site.remotes.get(machine.name)
        if isinstance(remote, Remote):
            remote.close()


@contextmanager
def _site(scenario: Scenario) -> Iterator[Site]:
    systems = dict(scenario.systems)
    listening: dict[str, set[tuple[str, int]]] = {}

    def connect(remote: Remote) -> Remote | Unreachable:
        try:
            remote.connect()
            system, *lines = remote.run(f"{SYSTEM}\nss -Hltn").text.splitlines()
        except MachineError as error:
            return Unreachable(error)
        systems[remote.name] = system
        # ss(8): state, two queues, and the local address with its port.
        places = [line.split()[3].rpartition(":") for line in lines]
        listening[remote.name] = {(address, int(port)) for address, _, port in places}
        return remote

    remotes = [Remote(each.name, each.login) for each in scenario.machines if each.login]
    try:
        with ThreadPoolExecutor(max(1, len(remotes))) as pool:
            connections = list(pool.map(connect, remotes))
        found = {remote.name: each for remote, each in zip(remotes, connections, strict=True)}
        # A server in maintenance may be away: nothing is promised of it.
        absent = frozenset(
            name
            for name in scenario.inventory.maintenance
            if isinstance(found.get(name), Unreachable)
        )
        yield Site(replace(scenario, absent=absent, systems=systems), found, listening)
    finally:
        for remote in remotes:
            remote.close()
