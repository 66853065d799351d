"""Changes the databases of a pair one after the other: the standby first, then the primary.

While the primary restarts, the poolers hold what they are asked, so that nobody notices it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress

from fabfile.engine.converge import Rollout, everywhere
from fabfile.engine.remote import MachineError, Remote
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.database import cluster, patroni, pooler
from fabfile.verify.check import Site

# What a machine is: the last one is no member yet, and has a database of somebody's.
PRIMARY, STANDBY, ALONE = "primary", "standby", "alone"
# The poolers serve again by themselves after so long, whatever becomes of who has paused them.
PAUSED_SECONDS = 20
# What clients ask for takes no longer; sessions of their own, which some keep, may never end.
IDLE_SECONDS = 2


def rolling(scenario: Scenario, _batch: str) -> Rollout | None:
    """Return how the databases change: all of them at once where there is one."""
    return Members(scenario) if scenario.paired("database") else None


def restarting(scenario: Scenario, _batch: str) -> Rollout | None:
    """Return how they change where the primary stands still meanwhile: clients wait, and go on."""
    return Members(scenario, holding=True) if scenario.paired("database") else None


class Members:
    """A rollout of a pair of databases; `holding` what clients ask while the primary changes."""

    def __init__(self, scenario: Scenario, holding: bool = False) -> None:
        self._scenario, self._holding = scenario, holding
        self._roles: dict[str, str] = {}

    def batches(self, remotes: Sequence[Remote]) -> Sequence[Sequence[Remote]]:
        """Return each alone: standbys, then the primary; new ones after the one that they copy.

        Of machines that are no members yet, the one with a database is first, whichever it is.
        """
        self._roles = everywhere(remotes, lambda remote: role(self._scenario, remote))
        order = {STANDBY: 0, PRIMARY: 1, ALONE: 2, "": 3}
        return [[each] for each in sorted(remotes, key=lambda each: order[self._roles[each.name]])]

    @contextmanager
    def around(self, remote: Remote, say: Callable[[str], None]) -> Iterator[None]:
        """Pause the poolers while the primary changes, if that is wanted."""
        if not self._holding or self._roles.get(remote.name) != PRIMARY:
            yield
            return
        with paused(self._scenario, say):
            yield


def role(scenario: Scenario, remote: Remote) -> str:
    """Return what a machine is, "" of one that has no database, or does not run.

    Raises MachineError when it cannot be reached.
    """
    said = remote.run(
        f"{cluster.library(scenario)}if [ -e {patroni.MARK} ]; then\n"
        "echo 'SELECT pg_is_in_recovery();' | ask 2>/dev/null\n"
        f"elif has_data && ! is_empty; then echo {ALONE}; fi"
    ).text.strip()
    return {"f": PRIMARY, "t": STANDBY}.get(said, said)


def among(scenario: Scenario, remotes: Iterable[Remote]) -> str:
    """Return the name of the one that takes what is written, "" when none of these does."""
    for remote in remotes:
        with suppress(MachineError):
            if role(scenario, remote) == PRIMARY:
                return remote.name
    return ""


def primary(scenario: Scenario) -> Machine:
    """Return the database that takes what is written.

    Where there is one it is that. Of several that cannot be asked, the first.
    """
    found = scenario.tier("database")
    if len(found) == 1:
        return found[0]
    with ExitStack() as opened:
        remotes = [opened.enter_context(closing(Remote(m.name, m.ssh))) for m in found]
        name = among(scenario, remotes)
    return scenario.machine(name) if name else found[0]


def seen(site: Site) -> Machine:
    """Return the database that takes what is written, as the checks can ask it.

    The first that was reached where none does.
    """
    found = [site.remotes.get(each.name) for each in site.scenario.present("database")]
    there = [each for each in found if isinstance(each, Remote)]
    name = among(site.scenario, there) if site.scenario.paired("database") else ""
    return site.scenario.machine(name) if name else site.first("database")


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
