"""The backups' side on storage servers: the volume is mounted, pgBackRest keeps, timers begin.

The database's side is fabfile/tiers/database/copying.py.
"""

from __future__ import annotations

from pathlib import Path

from fabfile.engine.change import Resource
from fabfile.engine.resources import Directory, File, Packages, Port, Run, Service
from fabfile.engine.survey import Survey
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.app.health import works
from fabfile.tiers.database import cluster
from fabfile.tiers.storage import mounting, repository
from fabfile.tiers.storage.volumes import backups
from fabfile.tiers.templates import template

UNITS = "/etc/systemd/system"
PROGRAM = "/usr/local/lib/crm-deployer/backup-database"
SOURCE = Path(__file__).with_name("database_backup.py")
NAME = "repository"
# The first backup, of an empty database or of one that was there before.
SECONDS = 3600


def desired(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what each storage server has for the backups, once their volume is there."""
    # Its own glusterd tells each of them of the volume, and needs no other server for that.
    mount = mounting.mount(backups(scenario), repository.MOUNT, ["localhost"])
    return [Packages("pgbackrest"), *mount, *_keeping(scenario, machine)]


def _keeping(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Return what keeps what the database server sends, and begins backups."""
    port = scenario.ports["backups"]
    files = repository.credentials(scenario, machine, NAME, repository.USER)
    (database,) = scenario.tier("database")
    address = scenario.address(machine, seen_by=database)
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
        database={
            "name": database.name,
            "address": scenario.address(database, seen_by=machine),
            "port": scenario.ports["database_backups"],
            "sql": scenario.ports["database"],
            "path": cluster.data(scenario.debian(database)),
            "config": repository.COPYING,
        },
        **repository.tls(NAME),
    )
    unit = template(
        f"{UNITS}/{repository.KEEPING_UNIT}",
        source=f"{UNITS}/backup-server.service",
        what="what the database server sends",
        after=mounting.mount_unit(repository.MOUNT),
        user=repository.USER,
        config=settings.path,
        directory="backup-repository",
        nice=5,
        quota="",
        allowed=[scenario.address(database, seen_by=machine), address],
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
        *_beginning(scenario, machine),
    ]


def _beginning(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Return what begins the backups; on a server that cannot make them, nothing."""
    if machine not in repository.keepers(scenario):
        return []
    program = File(PROGRAM, SOURCE.read_text(), mode=0o755)
    unit = template(
        f"{UNITS}/{repository.DATABASE_UNIT}",
        after=repository.KEEPING_UNIT,
        user=repository.USER,
        program=program.path,
        config=repository.KEEPING,
        stanza=repository.STANZA,
        directory=repository.REPOSITORY,
    )
    timer = template(f"{UNITS}/{repository.DATABASE_TIMER}")
    return [
        program,
        unit,
        timer,
        Service(repository.DATABASE_TIMER, restart=(timer.key, unit.key)),
    ]


def begun(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what is in the repository: a first backup; done on the first that can make it."""
    (first, *_) = (*repository.keepers(scenario), None)
    if machine != first:
        return []
    owner = repository.USER
    directory = Directory(
        repository.REPOSITORY, mode=0o750, owner=owner, group=owner, within=repository.MOUNT
    )
    start = f"systemctl start {repository.DATABASE_UNIT}"
    journal = f"journalctl -q -n 15 --no-pager -o cat -u {repository.DATABASE_UNIT}"
    (database,) = scenario.tier("database")
    address, port = scenario.address(database, machine), scenario.ports["database_backups"]
    there = f"[ -e {repository.REPOSITORY}/backup/{repository.STANZA}/latest ]"
    made = Run(
        "back up the database for the first time",
        f"{start} 2>/dev/null || {{ {journal}; exit 1; }}",
        # Where the database is still to be deployed, the timer does it later.
        unless=f"{there} || ! timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/{port}'",
        told=(Survey("kept", f"{there} && echo kept"), "kept"),
        seconds=SECONDS,
    )
    return [directory, made]


def run(kind: str) -> str:
    """Return shell that makes a backup of a kind now, or tells of those there are (`tell`)."""
    words = f"{repository.KEEPING} {repository.STANZA} {repository.REPOSITORY} {kind}"
    return f"cd / && runuser -u {repository.USER} -- {PROGRAM} {words}"


def told(scenario: Scenario) -> str:
    """Return shell that prints what `status` shows of the backups."""
    return f"[ ! -x {PROGRAM} ] || {{ {run('tell')}; }}"


def units(scenario: Scenario, machine: Machine) -> tuple[str, ...]:
    """Return the units that a storage server has for the backups."""
    own = (mounting.mount_unit(repository.MOUNT), repository.KEEPING_UNIT)
    return (*own, repository.DATABASE_TIMER) if machine in repository.keepers(scenario) else own
