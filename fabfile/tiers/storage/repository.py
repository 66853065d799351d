"""Where the backups are, and who reaches them how: what both of their sides know.

PostgreSQL's backups are pgBackRest's, in a repository on a volume that only storage servers mount.
Any of them gives the database server access to it, and any of them makes the backups.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fabfile.engine.change import Resource
from fabfile.engine.resources import File, Service
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.templates import template

UNITS, PROGRAMS = "/etc/systemd/system", "/usr/local/lib/crm-deployer"
# pgBackRest's name for the cluster.
STANZA = "main"
MOUNT = "/mnt/backup"
REPOSITORY = f"{MOUNT}/postgresql"
# restic's, of the uploads.
UPLOADS = f"{MOUNT}/uploads"
# Debian's own account for this, which has the same number on every machine: base-passwd(8).
USER = "backup"
SETTINGS = "/etc/crm-deployer"
# The settings of pgBackRest on a storage server, and on the database server.
KEEPING, COPYING = f"{SETTINGS}/repository.conf", f"{SETTINGS}/copying.conf"
AUTHORITY = f"{SETTINGS}/authority.crt"
# Their units, and what starts a backup.
KEEPING_UNIT, COPYING_UNIT = "backup-repository.service", "backup-copying.service"
DATABASE_UNIT, DATABASE_TIMER = "backup-database.service", "backup-database.timer"
UPLOADS_UNIT, UPLOADS_TIMER = "backup-uploads.service", "backup-uploads.timer"
DAYS = 14
# When PostgreSQL last went on without a piece of its log being kept, on the database server: no
# storage server could keep it, and less than so many MiB were free.
GIVEN_UP, ROOM = "/var/lib/postgresql/log-given-up", 512
# What a backup may take of a core at most, and how urgent its work is beside that of users: the
# least. Faster ones write so much at once that users wait for the same disks.
QUOTA, NICE = "30%", 19
# How long what a person wants waits for a backup that is being made, and what tells that in vain.
PATIENCE, BUSY = 600, 75
# How a line begins that says for what it waits.
WAITING = "waiting for"


def keepers(scenario: Scenario) -> tuple[Machine, ...]:
    """Return the storage servers that can back up the database.

    pgBackRest speaks with its own version only, so they run the database server's Debian.
    """
    releases = {scenario.debian(database) for database in scenario.tier("database")}
    return tuple(each for each in scenario.tier("storage") if {scenario.debian(each)} == releases)


def beginner(scenario: Scenario) -> Machine:
    """Return the storage server that does in a deploy what one of them does: as good as any."""
    first, *_ = scenario.present("storage")
    return first


def by_timer(
    names: tuple[str, str], what: str, user: str, *commands: str, when: str = "", cache: str = ""
) -> list[Resource]:
    """Return unit and timer, by their `names`, of commands that look whether it is time.

    `when` is for a timer that goes by the clock, and `cache` a directory of the command's own.
    """
    unit = template(
        f"{UNITS}/{names[0]}",
        source=f"{UNITS}/backup.service",
        what=what,
        user=user,
        commands=commands,
        cache=cache,
        quota=QUOTA,
        nice=NICE,
    )
    timer = template(f"{UNITS}/{names[1]}", when=when)
    return [unit, timer, Service(names[1], restart=(timer.key, unit.key))]


def credentials(scenario: Scenario, machine: Machine, name: str, owner: str) -> list[File]:
    """Return a machine's certificate, its key for one of its users, and the authority's."""
    issued = scenario.certificate(machine)
    return [
        File(AUTHORITY, scenario.authority),
        File(f"{SETTINGS}/{name}.crt", issued.certificate),
        File(
            f"{SETTINGS}/{name}.key", issued.key, mode=0o600, owner=owner, group=owner, secret=True
        ),
    ]


def tls(name: str) -> dict[str, Any]:
    """Return what the templates need of them: the files of `credentials` by their kind."""
    return {
        "authority": AUTHORITY,
        "certificate": f"{SETTINGS}/{name}.crt",
        "key": f"{SETTINGS}/{name}.key",
    }


def pgbackrest() -> list[str]:
    """Return the command for pgBackRest on a storage server, as its own user."""
    options = [f"--config={KEEPING}", f"--stanza={STANZA}"]
    return ["runuser", "-u", USER, "--", "pgbackrest", *options]


def package(name: str) -> list[File]:
    """Return the files of a Python package of this tier, on a machine that runs it."""
    found = sorted((Path(__file__).parent / name).glob("*.py"))
    return [File(f"{PROGRAMS}/{name}/{each.name}", each.read_text()) for each in found]


def running(name: str, words: str) -> str:
    """Return the command that runs such a package."""
    return f"/usr/bin/env PYTHONPATH={PROGRAMS} python3 -B -P -m {name} {words}".rstrip()


def locked(path: str, command: str, options: str = "-n -E 0") -> str:
    """Return a command that one storage server runs at a time: it holds a lock on the volume.

    With the usual options, it does nothing where another one does.
    """
    return f"flock {options} {path}.lock {command}"


def gently(command: str) -> str:
    """Return a command within the limits of the timers' units, for root: it costs users little."""
    scope = f"systemd-run --quiet --scope -p CPUQuota={QUOTA}"
    return f"{scope} nice -n {NICE} ionice -c idle {command}"


def waiting(path: str, command: str, what: str, seconds: int = PATIENCE) -> str:
    """Return shell that runs a command when no other storage server does, and says if one does.

    `what` the other one is at. It waits for that, at most so many `seconds`: 0 stands for no limit.
    In vain, it ends with BUSY.
    """
    limit = f"-w {seconds} " if seconds else ""
    return (
        f"code=0\n{locked(path, command, f'-n -E {BUSY}')} || code=$?\n"
        f"if [ $code = {BUSY} ]; then\necho '{WAITING} {what}'\n"
        f"code=0\n{locked(path, command, f'{limit}-E {BUSY}')} || code=$?\n"
        f"[ $code != {BUSY} ] || echo 'another storage server is at it: {what}'\nfi\n(exit $code)"
    )
