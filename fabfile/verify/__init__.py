"""Whether the running scenario is what config.py promises, seen from outside of deploy."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from fabfile.engine.remote import MachineError, Remote
from fabfile.scenario import Scenario
from fabfile.verify import application, database, internet, perimeter, services, storage
from fabfile.verify.check import Check, Site, Unreachable

__all__ = ["Check", "verify"]


def verify(scenario: Scenario) -> Iterator[Check]:
    """Check the whole scenario; answers every check as soon as it is known, whatever failed."""
    with _site(scenario) as site, ThreadPoolExecutor(8) as pool:
        # The spread is counted while nobody else of us asks the balancer, so this goes first.
        yield from internet.checks(site)
        groups = (storage, database, services, application, perimeter)
        for group in [pool.submit(group.checks, site) for group in groups]:
            yield from group.result()


@contextmanager
def _site(scenario: Scenario) -> Iterator[Site]:
    def connect(remote: Remote) -> Remote | Unreachable:
        try:
            remote.connect()
        except MachineError as error:
            return Unreachable(error)
        return remote

    remotes = [Remote(each.name, each.login) for each in scenario.machines if each.login]
    try:
        with ThreadPoolExecutor(max(1, len(remotes))) as pool:
            connections = list(pool.map(connect, remotes))
        names = [remote.name for remote in remotes]
        yield Site(scenario, dict(zip(names, connections, strict=True)))
    finally:
        for remote in remotes:
            remote.close()
