"""Backups brought into a cluster beside the one that serves: to look at, and to compare."""

from __future__ import annotations

import shlex
from pathlib import Path

from fabfile.engine.change import Resource
from fabfile.engine.resources import File
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.database import copying, restoring
from fabfile.tiers.storage import repository

PROGRAM = "/usr/local/lib/crm-deployer/database-scratch"
HERE = Path(__file__).parent
UNIT, TIMER = "backup-check.service", "backup-check.timer"
# When the last comparison was, with what exit code, and what it said.
RESULT = "/var/lib/backup-check/last"


def compared(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what compares the database with its backups each week."""
    if not copying.is_backed_up(scenario):
        return []
    program = File(PROGRAM, _text(scenario, machine), mode=0o755)
    command = f"{PROGRAM} check {scenario.application.database}"
    what = "Compare the database with its backups"
    return [program, *repository.by_timer((UNIT, TIMER), what, "root", command)]


def _text(scenario: Scenario, machine: Machine) -> str:
    """Return the program: functions, and the call of the one that its arguments name."""
    return "\n".join(
        [
            "#!/bin/sh",
            "# Written by the deployer: changes made here are lost.",
            "set -u",
            f"version={scenario.debian(machine).postgresql}",
            (HERE / "state.sh").read_text(),
            f"archive={copying.ARCHIVE}",
            f"result={RESULT}",
            f"spare={repository.ROOM}",
            (HERE / "scratch.sh").read_text(),
            # Two would take each other's place.
            "exec 9>/run/lock/database-scratch",
            "flock -w 600 9 || { echo 'another comparison is being made'; exit 75; }",
            '"$@"\n',
        ]
    )


def check(scenario: Scenario) -> str:
    """Return shell that compares the database with its backups now."""
    return repository.gently(f"{PROGRAM} check {scenario.application.database}")


def into(scenario: Scenario, name: str, way: restoring.Way) -> str:
    """Return shell that makes a database of that name of what the application's was then."""
    words = [PROGRAM, "into", name, scenario.application.database, str(way.room), str(way.size)]
    return shlex.join([*words, *way.options])
