"""Copies of the backups in the second place that config.py names: what storage servers have for it.

The repositories are encrypted already, and are copied by rclone as they are. Not by pgBackRest
itself: PostgreSQL would keep its log for as long as the place is away.
"""

from __future__ import annotations

from fabfile.engine.change import Resource
from fabfile.engine.resources import File, Packages, Run
from fabfile.scenario import Machine, Scenario
from fabfile.scenario.second_place import SFTP, SecondPlace
from fabfile.tiers.storage import repository
from fabfile.tiers.storage.copier.copies import STATE
from fabfile.tiers.storage.copier.steps import MARK
from fabfile.tiers.templates import template

PACKAGE = "copier"
UNIT, TIMER = "backup-second-place.service", "backup-second-place.timer"
CONFIG = f"{repository.SETTINGS}/second-place.conf"
KEY, KNOWN_HOSTS = f"{repository.SETTINGS}/second-place.key", f"{CONFIG[:-5]}.known_hosts"
# When the last copy was made, and what failed after it.
TOLD = f"{repository.MOUNT}/{STATE}"
# In a directory that is not there as long as the volume is not.
LOCK = f"{repository.REPOSITORY}/{MARK}"
# One dead server's turn is the next one's, as with the uploads, after whose turn it is.
MINUTES, APART, LATER = 15, 5, 2
WHAT = "another copy to the second place, or from it"
# To copy all there is, or to bring it back.
SECONDS = 24 * 3600


def program(scenario: Scenario) -> list[Resource]:
    """Return what copies there and back; nothing begins it by itself."""
    place = scenario.second_place
    if place is None:
        return []
    return [
        Packages("rclone"),
        *repository.package(PACKAGE),
        *_settings(scenario, place),
    ]


def _settings(scenario: Scenario, place: SecondPlace) -> list[File]:
    access = scenario.access
    files = [
        template(
            CONFIG,
            mode=0o600,
            secret=True,
            place=place,
            access=access,
            key=KEY,
            known_hosts=KNOWN_HOSTS,
        )
    ]
    if place.kind == SFTP:
        files += [
            File(KEY, access.key, mode=0o600, secret=True),
            File(KNOWN_HOSTS, access.known_hosts),
        ]
    return files


def copying(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Return what copies by itself, each quarter of an hour."""
    if scenario.second_place is None:
        return [_none()]
    turn = (scenario.tier("storage").index(machine) * APART + LATER) % MINUTES
    begins = repository.by_timer(
        (UNIT, TIMER),
        "Copy the backups to the second place, if it is time",
        "root",
        repository.locked(LOCK, f"{_program(scenario)}"),
        when=f"*:{turn:02}/{MINUTES}",
    )
    return [*program(scenario), *begins]


def _none() -> Run:
    """Return that nothing is copied any more, where config.py names no place."""
    files = " ".join(
        [f"{repository.UNITS}/{TIMER}", f"{repository.UNITS}/{UNIT}", CONFIG, KEY, KNOWN_HOSTS]
    )
    return Run(
        "copy the backups to no second place any more",
        f"systemctl -q disable --now {TIMER}\nrm -f {files} {TOLD}\nsystemctl daemon-reload",
        unless=f"[ ! -e {repository.UNITS}/{TIMER} ]",
    )


def begun(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say that there was a first copy: it tells at once when that fails, as `verify` does later.

    Another one when it is another place, or what lets in there has changed.
    """
    if scenario.second_place is None or machine != repository.beginner(scenario):
        return []
    failed = 'say "$(printf %s "$said" | tail -n 1); it is tried again each quarter of an hour"'
    return [
        Run(
            "copy the backups to the second place",
            f"rm -f {TOLD}\nsaid=$({{ {run(scenario, 'now')}; }} 2>&1) || {failed}",
            unless=f"[ -e {TOLD} ]",
            after=(CONFIG, KEY, KNOWN_HOSTS),
            seconds=SECONDS,
        )
    ]


def fetched(scenario: Scenario) -> Run:
    """Return that the backups are back from the second place: on the first storage server."""
    return Run(
        "bring the backups back from the second place",
        repository.waiting(LOCK, f"{_program(scenario, 'fetch')}", WHAT),
        unless=f"[ -e {repository.REPOSITORY}/{MARK} ]",
        seconds=SECONDS,
    )


def run(scenario: Scenario, action: str) -> str:
    """Return shell that copies now."""
    command = repository.gently(f"{_program(scenario, action)}")
    return repository.waiting(LOCK, command, WHAT)


def told(scenario: Scenario) -> str:
    """Return shell that prints what `status` shows of it."""
    if scenario.second_place is None:
        return ":"
    return f"[ ! -d {repository.PROGRAMS}/{PACKAGE} ] || {_program(scenario, 'tell')}"


def _program(scenario: Scenario, action: str = "") -> str:
    assert scenario.second_place
    words = f"{CONFIG} {scenario.second_place.root} {repository.MOUNT} {action}"
    return repository.running(PACKAGE, words)
