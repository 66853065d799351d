"""The backups' side on storage servers: the volume is mounted, pgBackRest keeps, timers begin.

The database's side is fabfile/tiers/database/copying.py.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from fabfile.engine.change import Resource
from fabfile.engine.resources import Directory, File, Packages, Port, Run, Service
from fabfile.engine.survey import Survey
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.app.health import works
from fabfile.tiers.database import cluster
from fabfile.tiers.storage import mounting, repository, second_place
from fabfile.tiers.storage.volumes import backups, uploads
from fabfile.tiers.templates import template

OF_DATABASE = f"{repository.PROGRAMS}/backup-database"
# The package of this name.
OF_UPLOADS = "snapshots"
HERE = Path(__file__).parent
NAME = "repository"
# Where pgBackRest's user may write, and nobody as long as the volume is not mounted.
LOCK, LOCK_OF_UPLOADS = f"{repository.REPOSITORY}/database", f"{repository.REPOSITORY}/uploads"
# Snapshots are made while others are read: for hours, when there are many. See the program.
LOCK_OF_READING = f"{repository.REPOSITORY}/reading"
LOCK_OF_BRINGING = f"{repository.REPOSITORY}/bringing"
MAKING = "a backup, or a copy of the backups, that is being made"
PASSWORD = f"{repository.SETTINGS}/uploads.password"
# A time behind all snapshots.
LATEST = 2**40
# One dead server's turn is the next one's: each tries every quarter of an hour.
MINUTES, APART = 15, 5
# The first backup, of an empty database or of one that was there before.
SECONDS = 3600
CHECK_SECONDS = 30


def desired(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what each storage server has for the backups, once their volume is there."""
    return [
        Packages("pgbackrest", "restic"),
        *_place(scenario),
        *_keeping(scenario, machine),
        *_beginning(scenario, machine),
        *_uploading(scenario, machine),
        *second_place.copying(scenario, machine),
    ]


def _place(scenario: Scenario) -> list[Resource]:
    """Return where the backups are."""
    # Its own glusterd tells each of them of the volume, and needs no other server for that.
    mount = mounting.mount(backups(scenario), repository.MOUNT, ["localhost"])
    return [
        *mount,
        Directory(
            repository.REPOSITORY,
            mode=0o750,
            owner=repository.USER,
            group=repository.USER,
            within=repository.MOUNT,
            whole=mounting.whole(repository.MOUNT),
        ),
    ]


def fetched(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say that a server has the backups of the second place, before anything makes new ones."""
    # Uploads are back before a timer makes a snapshot of what is there without them.
    brought = f"{repository.UPLOADS}.brought"
    return [
        *_place(scenario),
        *second_place.program(scenario),
        second_place.fetched(scenario),
        Packages("restic"),
        *_of_the_uploads(scenario),
        Run(
            "bring the uploads back",
            f"{bring_uploads(scenario, f'missing {LATEST}')}\ntouch {brought}",
            unless=f"[ -e {brought} ]",
            seconds=second_place.SECONDS,
        ),
    ]


def _keeping(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Return what keeps what the database server sends, and begins backups."""
    port = scenario.ports["backups"]
    files = repository.credentials(scenario, machine, NAME, repository.USER)
    databases = scenario.tier("database")
    address = scenario.address(machine, seen_by=databases[0])
    settings = template(
        repository.KEEPING,
        mode=0o640,
        group=repository.USER,
        secret=True,
        repository=repository.REPOSITORY,
        password=scenario.secret("backup_password"),
        days=repository.DAYS,
        stanza=repository.STANZA,
        address=address,
        port=port,
        # Of a pair, pgBackRest finds out which one is the primary.
        databases=[
            {
                "name": database.name,
                "address": scenario.address(database, seen_by=machine),
                "port": scenario.ports["database_backups"],
                "sql": scenario.ports["database"],
                "path": cluster.data(scenario.debian(database)),
                "config": repository.COPYING,
            }
            for database in databases
        ],
        **repository.tls(NAME),
    )
    unit = template(
        f"{repository.UNITS}/{repository.KEEPING_UNIT}",
        source=f"{repository.UNITS}/backup-server.service",
        what="what the database server sends",
        after=mounting.mount_unit(repository.MOUNT),
        user=repository.USER,
        config=settings.path,
        directory="backup-repository",
        nice=5,
        quota="",
        allowed=[*(scenario.address(each, seen_by=machine) for each in databases), address],
    )
    remedy = f" or choose another port: PORTS in {scenario.source.name}"
    return [
        Port(port, (repository.KEEPING_UNIT,), remedy),
        *files,
        settings,
        unit,
        Service(
            repository.KEEPING_UNIT,
            restart=(unit.key, settings.key, *(file.key for file in files)),
            ready=f"ss -Hltn 'src = {address}:{port}' | grep -q .",
            alive=works("$main_pid"),
        ),
    ]


def _beginning(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Return what begins backups of the database; on a server that cannot make them, nothing."""
    if machine not in repository.keepers(scenario):
        return []
    program = File(OF_DATABASE, (HERE / "database_backup.py").read_text(), mode=0o755)
    names = (repository.DATABASE_UNIT, repository.DATABASE_TIMER)
    what = "Back up the database, if it is time"
    command = repository.locked(LOCK, _of_database())
    return [program, *repository.by_timer(names, what, repository.USER, command)]


def _of_the_uploads(scenario: Scenario) -> list[File]:
    """Return the program that backs them up and brings them back, and the password for it."""
    return [
        *repository.package(OF_UPLOADS),
        File(PASSWORD, scenario.secret("backup_password") + "\n", mode=0o600, secret=True),
    ]


def _uploading(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Return what begins backups of the uploads."""
    turn = scenario.tier("storage").index(machine) * APART % MINUTES
    begins = repository.by_timer(
        (repository.UPLOADS_UNIT, repository.UPLOADS_TIMER),
        "Back up the uploads, if it is time",
        "root",
        repository.locked(LOCK_OF_UPLOADS, _of_uploads(scenario)),
        repository.locked(LOCK_OF_READING, _of_uploads(scenario, "read")),
        when=f"*:{turn:02}/{MINUTES}",
        cache="backup-uploads",
    )
    return [*_of_the_uploads(scenario), *begins]


def begun(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say that there are backups: the first ones are made on the first server that can."""
    keepers = repository.keepers(scenario)
    found: list[Resource] = []
    if machine in keepers[:1]:
        found += _database_begun(scenario, machine)
    if machine == repository.beginner(scenario):
        there = f"[ -e {repository.UPLOADS}.done ]"
        found.append(
            Run(
                "back up the uploads for the first time",
                run_uploads(scenario, ""),
                unless=there,
                seconds=SECONDS,
            )
        )
    return [*found, *second_place.begun(scenario, machine)]


def _database_begun(scenario: Scenario, machine: Machine) -> list[Resource]:
    port = scenario.ports["database_backups"]
    tries = [
        f"timeout 2 bash -c 'exec 3<>/dev/tcp/{scenario.address(each, machine)}/{port}'"
        for each in scenario.tier("database")
    ]
    answers = f"{{ {' || '.join(tries)}; }}"
    there = f"[ -e {repository.REPOSITORY}/backup/{repository.STANZA}/latest ]"
    made = Run(
        "back up the database for the first time",
        run(""),
        # Where the database is still to be deployed, the timer does it later.
        unless=f"{there} || ! {answers}",
        told=(Survey("kept", f"{there} && echo kept"), "kept"),
        seconds=SECONDS,
    )
    same = f"cd / && timeout {CHECK_SECONDS} {shlex.join([*repository.pgbackrest(), 'check'])}"
    anew = Run(
        "back up the new database",
        run("anew"),
        # It fails at once where the backups are of another database.
        unless=f"{there} && {answers} && {same}",
        seconds=SECONDS,
    )
    return [anew] if scenario.new_database else [made]


def _of_database(action: str = "") -> str:
    return f"{OF_DATABASE} {repository.KEEPING} {repository.STANZA} {action}".rstrip()


def _of_uploads(scenario: Scenario, action: str = "") -> str:
    words = f"{repository.UPLOADS} {PASSWORD} {uploads(scenario).name} {action}"
    return repository.running(OF_UPLOADS, words)


def run(kind: str, gently: bool = False) -> str:
    """Return shell that makes a backup of the database of a kind now.

    `gently`, within the limits of the timers, as users are served meanwhile.
    """
    command = repository.waiting(LOCK, _of_database(kind), MAKING)
    as_owner = f"runuser -u {repository.USER} -- sh -c {shlex.quote(command)}"
    return f"cd / && {repository.gently(as_owner) if gently else as_owner}"


def run_uploads(scenario: Scenario, action: str, gently: bool = False) -> str:
    """Return shell that makes a backup of the uploads now, as `run` does."""
    command = _of_uploads(scenario, action)
    command = repository.gently(command) if gently else command
    return repository.waiting(LOCK_OF_UPLOADS, command, MAKING)


def read_uploads(scenario: Scenario) -> str:
    """Return shell that reads the backups of the uploads, and compares them with their hashes."""
    command = repository.gently(_of_uploads(scenario, "check"))
    return repository.waiting(LOCK_OF_READING, command, "another reading of the snapshots")


def bring_uploads(scenario: Scenario, action: str) -> str:
    """Return shell that brings uploads back, as fast as that goes, whatever else is made of them.

    Another restore it waits for.
    """
    command = _of_uploads(scenario, action)
    what = "uploads that another restore brings back"
    return repository.waiting(LOCK_OF_BRINGING, command, what, seconds=0)


def room_for_uploads(scenario: Scenario, until: float, directory: str) -> str:
    """Return shell that fails where there is no room for the uploads of a time."""
    return _of_uploads(scenario, f"room {until} {directory}")


def listed_uploads(scenario: Scenario) -> str:
    """Return shell that prints the snapshots of the uploads, as JSON; it changes nothing."""
    return _of_uploads(scenario, "list")


def told(scenario: Scenario) -> str:
    """Return shell that prints what `status` shows of the backups."""
    as_owner = f"cd / && runuser -u {repository.USER} -- {_of_database('tell')}"
    return (
        f"[ ! -x {OF_DATABASE} ] || {{ {as_owner}; }}\n"
        f"[ ! -d {repository.PROGRAMS}/{OF_UPLOADS} ] || {_of_uploads(scenario, 'tell')}\n"
        f"{second_place.told(scenario)}"
    )


def units(scenario: Scenario, machine: Machine) -> tuple[str, ...]:
    """Return the units that a storage server has for the backups."""
    own = (mounting.mount_unit(repository.MOUNT), repository.KEEPING_UNIT, repository.UPLOADS_TIMER)
    copied = (second_place.TIMER,) if scenario.second_place else ()
    made = (repository.DATABASE_TIMER,) if machine in repository.keepers(scenario) else ()
    return (*own, *made, *copied)
