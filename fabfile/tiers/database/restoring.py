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
    """Return the change that has the backups get what was written so far.

    If PostgreSQL runs, and is the one of the backups: `system` is its number for that. In the place
    of a lost machine, it is another.
    """
    functions = library(scenario)
    condition = f"{functions}handed_over $piece"
    script = (
        f"{functions}if is_backed_up {system}; then\npiece=$(hand_over)\nexport piece\n"
        f"await {KEEP_SECONDS} 'the backups to have what was written so far' "
        f"{shlex.quote(condition)}\nfi"
    )
    return Change("keep", "have the backups get what was written so far", script)


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


def restored(scenario: Scenario, target: str) -> Change:
    """Return the change that brings the cluster back to a time, "" for the latest there is.

    `target` is as PostgreSQL reads it.
    """
    functions = library(scenario)
    to = f" to {target}" if target else ""
    options = ["--type=default"]
    if target:
        options = ["--type=time", f"--target={target}", "--target-action=promote"]
    is_back = shlex.quote(f"{functions}is_back")
    hopeless = f'{functions}[ "$(systemctl show -P NRestarts $unit)" -gt 3 ]'
    script = (
        f"{functions}"
        f"get_back {' '.join(map(shlex.quote, options))}\n"
        'systemctl start "$unit" || { log_of; exit 1; }\n'
        f"await {SECONDS} 'PostgreSQL to be back' {is_back} "
        f"{shlex.quote(hopeless)} || {{ log_of; exit 1; }}\n"
        f"forget_the_way\nawait 60 'PostgreSQL to be back' {is_back}\n"
        f"rm -f {shlex.quote(_mark(scenario))}"
    )
    return Change("restore", f"bring the database back{to}", script, seconds=SECONDS)
