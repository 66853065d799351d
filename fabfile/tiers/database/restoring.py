"""What brings the database back to an earlier time, as changes of the database server."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from fabfile.engine.change import Change
from fabfile.engine.resources import Service, pending
from fabfile.scenario import Scenario
from fabfile.tiers.database import cluster, copying
from fabfile.tiers.storage import repository

LIBRARY = Path(__file__).with_name("restore.sh").read_text()
# For what was written last to be with the storage servers.
KEEP_SECONDS = 90
# To copy, and to replay what was written since: for as long as that takes.
SECONDS = 24 * 3600
# PostgreSQL keeps so much of the log that it replays: max_wal_size, as it comes.
REPLAYED = 1 << 30


@dataclass(frozen=True)
class Way:
    """How a database comes to a time, which PostgreSQL reads; "" is the latest there is.

    Of pgBackRest are the timeline that it was on then and the name of the backup that this begins
    with, which has `size` bytes, and as much `log` comes behind it.
    """

    target: str
    timeline: str
    backup: str = ""
    size: int = 0
    log: int = 0

    @property
    def room(self) -> int:
        """The bytes that it takes where the cluster is to be, with some more for small files."""
        return self.size + self.size // 20 + min(self.log, REPLAYED)

    @property
    def options(self) -> list[str]:
        """What pgBackRest is told. By itself it takes the latest backup, on whichever timeline."""
        label = [f"--set={self.backup}"] if self.backup else []
        if not self.target:
            return [*label, "--type=default"]
        to = [f"--target={self.target}", "--target-action=promote"]
        return [*label, "--type=time", *to, f"--target-timeline={self.timeline}"]


def library(scenario: Scenario) -> str:
    """Return the shell functions for it."""
    own = f"archive={copying.ARCHIVE}\ngiven_up={repository.GIVEN_UP}\n"
    return f"{cluster.library(scenario)}{own}{LIBRARY}"


def handed_over(scenario: Scenario, system: str, way: Way) -> Change:
    """Return the change that has the backups get what was written so far, if there is anything.

    `system` is PostgreSQL's number for the cluster of the backups: another one is not replaced, nor
    one in whose place there is no room for what comes on that way.
    """
    functions = library(scenario)
    condition = f"{functions}handed_over $piece"
    script = (
        f'{functions}has_room {way.room}\nkeep_first {system}\n[ ! "$piece" ] || '
        f"await {KEEP_SECONDS} 'the backups to have what was written so far' "
        f"{shlex.quote(condition)}"
    )
    return Change("keep", "have the backups get what was written so far", script)


def given_up(scenario: Scenario) -> str:
    """Return shell that prints when its log was last given up, if a database answers there."""
    return f"{library(scenario)}when_given_up"


def has_database(scenario: Scenario) -> str:
    """Return a shell condition: the machine has a database with somebody's data."""
    return f"{library(scenario)}has_data && ! is_empty"


def unsettled(scenario: Scenario) -> Change:
    """Return the change that leaves a mark: PostgreSQL must start anew for its settings.

    Where the restore does not come to its end, the next deploy finds that.
    """
    mark = shlex.quote(_mark(scenario))
    return Change("unsettled", "note that PostgreSQL must start anew", f": >{mark}")


def _mark(scenario: Scenario) -> str:
    machine, *_ = scenario.tier("database")
    unit = cluster.unit_of(scenario.debian(machine))
    return pending.mark(Service(unit).restarting().marker)


def restored(scenario: Scenario, way: Way) -> Change:
    """Return the change that brings the cluster back on a way."""
    functions = library(scenario)
    to = f" to {way.target}" if way.target else ""
    is_back = shlex.quote(f"{functions}is_back")
    hopeless = f'{functions}[ "$(systemctl show -P NRestarts $unit)" -gt 3 ]'
    back = f"await {SECONDS} 'PostgreSQL to be back' {is_back} {shlex.quote(hopeless)}"
    script = (
        f"{functions}"
        f"get_back {shlex.join(way.options)}\n"
        f'{{ systemctl start "$unit" && {back}; }} || '
        f"{{ ends_before {shlex.quote(way.target)} && {back}; }} || {{ log_of; exit 1; }}\n"
        f"forget_the_way\nawait 60 'PostgreSQL to be back' {is_back}\n"
        f"rm -f {shlex.quote(_mark(scenario))}"
    )
    return Change("restore", f"bring the database back{to}", script, seconds=SECONDS)
