"""The backups' side on the database server: its log goes to storage servers, who copy its files.

Their side is fabfile/tiers/storage/backup.py.
"""

from __future__ import annotations

from fabfile.engine.change import Resource
from fabfile.engine.resources import Packages, Port, Service
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.app.health import works
from fabfile.tiers.database import cluster
from fabfile.tiers.storage import repository
from fabfile.tiers.templates import template

UNITS = "/etc/systemd/system"
# pgBackRest backs up no cluster whose archive_command does not name it.
ARCHIVE = "/usr/local/lib/crm-deployer/pgbackrest-wal"
NAME, OWNER = "copying", "postgres"
# What `status` shows: when a piece of the log was last kept, and how many wait for it.
TOLD = """
SELECT 'kept until: ' || coalesce(to_char(last_archived_time, 'DD Mon HH24:MI:SS'), 'never')
    || CASE WHEN last_failed_time > coalesce(last_archived_time, '-infinity')
        THEN ', fails since' ELSE '' END
    || (SELECT CASE count(*) WHEN 0 THEN '' ELSE ', ' || count(*) || ' to be kept' END
        FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready')
FROM pg_stat_archiver;"""


def is_backed_up(scenario: Scenario) -> bool:
    """Return whether there are storage servers that can back up the database."""
    return bool(repository.keepers(scenario))


def beforehand(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what PostgreSQL needs before it starts: the programs and settings of its archive."""
    if not is_backed_up(scenario):
        return []
    keepers = repository.keepers(scenario)
    settings = template(
        repository.COPYING,
        mode=0o640,
        group=OWNER,
        keeper={
            "names": [each.name for each in keepers],
            "port": scenario.ports["backups"],
            "config": repository.KEEPING,
        },
        stanza=repository.STANZA,
        address=_address(scenario, machine),
        port=scenario.ports["database_backups"],
        path=cluster.data(scenario.debian(machine)),
        sql=scenario.ports["database"],
        **repository.tls(NAME),
    )
    archive = template(
        ARCHIVE,
        mode=0o755,
        servers=[scenario.address(each, seen_by=machine) for each in keepers],
        port=scenario.ports["backups"],
        config=settings.path,
        stanza=repository.STANZA,
        given_up=repository.GIVEN_UP,
        room=repository.ROOM,
    )
    files = repository.credentials(scenario, machine, NAME, OWNER)
    return [Packages("pgbackrest"), *files, settings, archive]


def copied(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what runs for the storage servers, who copy the files of the cluster."""
    if not is_backed_up(scenario):
        return []
    port, address = scenario.ports["database_backups"], _address(scenario, machine)
    # By tiers, as the flows are: it is the certificates that tell who may have what.
    servers = scenario.tier("storage")
    unit = template(
        f"{UNITS}/{repository.COPYING_UNIT}",
        source=f"{UNITS}/backup-server.service",
        what="who copies the database",
        after="",
        user=OWNER,
        config=repository.COPYING,
        directory="backup-copying",
        nice=repository.NICE,
        quota=repository.QUOTA,
        allowed=[*(scenario.address(each, seen_by=machine) for each in servers), "localhost"],
    )
    changed = [unit.key, *(each.key for each in beforehand(scenario, machine))]
    remedy = f" or choose another port: PORTS in {scenario.source.name}"
    return [
        Port(port, (repository.COPYING_UNIT,), remedy),
        unit,
        Service(
            repository.COPYING_UNIT,
            restart=tuple(changed),
            ready=f"ss -Hltn 'src = {address}:{port}' | grep -q .",
            alive=works("$main_pid"),
        ),
    ]


def _address(scenario: Scenario, machine: Machine) -> str:
    """Return where the storage servers find the database server."""
    return scenario.address(machine, seen_by=repository.keepers(scenario)[0])
