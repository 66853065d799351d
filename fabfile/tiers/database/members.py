"""Changes the databases of a pair one after the other: the standby first, then the primary.

While the primary changes, the poolers hold what they are asked, so that nobody notices a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from fabfile.engine.converge import Rollout, everywhere
from fabfile.engine.remote import MachineError, Remote
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.database import cluster, pooler
from fabfile.verify.check import Site

PRIMARY, STANDBY = "primary", "standby"
# The poolers serve again by themselves after so long, whatever becomes of who has paused them.
PAUSED_SECONDS = 20
# What clients ask for takes no longer; sessions of their own, which some keep, may never end.
IDLE_SECONDS = 2


def rolling(scenario: Scenario, _batch: str) -> Rollout | None:
    """Return how the databases change: all of them at once where there is one."""
    return Members(scenario) if scenario.paired("database") else None


class Members:
    """A rollout of the databases of a pair."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._roles: dict[str, str] = {}

    def batches(self, remotes: Sequence[Remote]) -> Sequence[Sequence[Remote]]:
        """Return each alone: standbys, then the primary; new ones after the one that they copy."""
        self._roles = everywhere(remotes, lambda remote: role(self._scenario, remote))
        order = {STANDBY: 0, PRIMARY: 1, "": 2}
        return [[each] for each in sorted(remotes, key=lambda each: order[self._roles[each.name]])]

    @contextmanager
    def around(self, remote: Remote, say: Callable[[str], None]) -> Iterator[None]:
        """Pause the poolers while the primary changes."""
        if self._roles.get(remote.name) != PRIMARY:
            yield
            return
        with paused(self._scenario, say):
            yield


def role(scenario: Scenario, remote: Remote) -> str:
    """Return "primary" or "standby", "" of a machine that is no member, or does not run.

    Raises MachineError when it cannot be reached.
    """
    asked = "echo 'SELECT pg_is_in_recovery();' | ask 2>/dev/null || :"
    said = remote.run(f"{cluster.library(scenario)}[ -e /etc/patroni/taken-over ] && {asked}").text
    return {"f": PRIMARY, "t": STANDBY}.get(said.strip(), "")


def primary(scenario: Scenario) -> Machine:
    """Return the database that takes what is written.

    Where there is one it is that. Of several that cannot be asked, the first.
    """
    found = scenario.tier("database")
    if len(found) == 1:
        return found[0]
    for machine in found:
        try:
            with closing(Remote(machine.name, machine.ssh)) as remote:
                if role(scenario, remote) == PRIMARY:
                    return machine
        except MachineError:
            continue
    return found[0]


def seen(site: Site) -> Machine:
    """Return the database that takes what is written, as the checks can ask it.

    The first that was reached where none does.
    """
    there = site.scenario.present("database")
    for machine in there if len(there) > 1 else ():
        remote = site.remotes.get(machine.name)
        if isinstance(remote, Remote) and role(site.scenario, remote) == PRIMARY:
            return machine
    return site.first("database")


@contextmanager
def paused(scenario: Scenario, say: Callable[[str], None]) -> Iterator[None]:
    """Have the poolers hold what they are asked, as long as something is done.

    Where clients keep their sessions, which only they can end, nothing is held.
    """
    remotes = [Remote(each.name, each.ssh) for each in scenario.present("database")]
    functions = pooler.library(scenario)

    def told(command: str) -> Callable[[Remote], bool]:
        return lambda remote: remote.run(f"{functions}{command}", seconds=60).code == 0

    try:
        held = everywhere(remotes, told(f"pause_pooler {IDLE_SECONDS} {PAUSED_SECONDS}"))
        if not all(held.values()):
            say("clients keep their sessions with the pooler: they are not held")
        yield
    finally:
        try:
            everywhere(remotes, told("resume_pooler"))
        finally:
            for each in remotes:
                each.close()
