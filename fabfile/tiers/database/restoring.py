"""What brings the database back to an earlier time, as changes of the database server."""

from __future__ import annotations

import shlex
from pathlib import Path

from fabfile.engine.change import Change
from fabfile.engine.resources import Service, pending
from fabfile.scenario import Scenario
from fabfile.tiers.database import cluster, copying
from fabfile.tiers.database import state as database

LIBRARY = Path(__file__).with_name("restore.sh").read_text()
# For what was written last to be with the storage servers.
KEEP_SECONDS = 90
# To copy, and to replay what was written since: for as long as that takes.
SECONDS = 24 * 3600


def library(scenario: Scenario) -> str:
    """Return the shell functions for it."""
    return f"{database.library(scenario)}archive={copying.ARCHIVE}\n{LIBRARY}"


def handed_over(scenario: Scenario, system: str) -> Change:
    """Return the change that has the backups get what was written so far, if there is anything.

    `system` is PostgreSQL's number for the cluster of the backups: another one is not replaced.
    """
    functions = library(scenario)
    condition = f"{functions}handed_over $piece"
    script = (
        f'{functions}keep_first {system}\n[ ! "$piece" ] || '
        f"await {KEEP_SECONDS} 'the backups to have what was written so far' "
        f"{shlex.quote(condition)}"
    )
    return Change("keep", "have the backups get what was written so far", script)


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
    (machine,) = scenario.tier("database")
    unit = cluster.unit_of(scenario.debian(machine))
    return pending.mark(Service(unit).restarting().marker)


def timeline(histories: str, moment: float) -> str:
    """Return the timeline that the database was on at a time, as pgBackRest takes it.

    `histories` has a line for each time at which it was brought back: its second, and the file that
    tells of the timeline that began then. See the PostgreSQL manual, 25.3.5: without it, the latest
    one is followed, on which what it has replaced never was.
    """
    began = [line.split() for line in histories.splitlines()]
    known = [(int(second), int(name[:8], 16)) for second, name in began if int(second) <= moment]
    return str(max(known)[1]) if known else "current"


def options(target: str, on: str) -> list[str]:
    """Return pgBackRest's options for a time on a timeline, "" for the latest there is."""
    if not target:
        return ["--type=default"]
    to = f"--target={target}"
    return ["--type=time", to, "--target-action=promote", f"--target-timeline={on}"]


def restored(scenario: Scenario, target: str, on: str) -> Change:
    """Return the change that brings the cluster back to a time on a timeline; see `options`.

    `target` is as PostgreSQL reads it.
    """
    functions = library(scenario)
    to = f" to {target}" if target else ""
    is_back = shlex.quote(f"{functions}is_back")
    hopeless = f'{functions}[ "$(systemctl show -P NRestarts $unit)" -gt 3 ]'
    script = (
        f"{functions}"
        f"get_back {shlex.join(options(target, on))}\n"
        'systemctl start "$unit" || { log_of; exit 1; }\n'
        f"await {SECONDS} 'PostgreSQL to be back' {is_back} "
        f"{shlex.quote(hopeless)} || {{ log_of; exit 1; }}\n"
        f"forget_the_way\nawait 60 'PostgreSQL to be back' {is_back}\n"
        f"rm -f {shlex.quote(_mark(scenario))}"
    )
    return Change("restore", f"bring the database back{to}", script, seconds=SECONDS)
