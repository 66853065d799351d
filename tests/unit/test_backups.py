"""Backups: who makes which one when, and what the machines are told of it."""

import fcntl
import json

import pytest

from fabfile.engine.resources import File
from fabfile.tiers.database import copying
from fabfile.tiers.storage import backup, database_backup, repository

HOUR = 3600
NOW = 1_800_000_000


def made(kind, hours):
    return {
        "type": kind,
        "timestamp": {"start": NOW - hours * HOUR - 60, "stop": NOW - hours * HOUR},
    }


@pytest.mark.parametrize(
    ("backups", "kind"),
    [
        ([], "full"),
        ([made("full", 1)], ""),
        ([made("full", 22)], ""),
        ([made("full", 24)], "diff"),
        ([made("full", 60), made("diff", 1)], ""),
        ([made("full", 7 * 24), made("diff", 1)], "full"),
        ([made("diff", 1)], "full"),
    ],
)
def test_a_full_one_is_due_each_week_and_a_differential_one_each_day(backups, kind):
    assert database_backup.due(backups, NOW) == kind


@pytest.fixture
def pgbackrest(tmp_path, monkeypatch):
    """Give a program that stands in for pgBackRest, and what it was told."""
    told = tmp_path / "told"
    program = tmp_path / "pgbackrest"
    program.write_text(
        f'#!/bin/sh\necho "$*" >>{told}\ncase $* in *info*) cat {tmp_path}/info ;; esac\n'
        f"case $* in *stanza-create*) exit $(cat {tmp_path}/stanza) ;; esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "info").write_text("[]")
    (tmp_path / "stanza").write_text("0")
    return tmp_path


def told(directory):
    lines = (directory / "told").read_text().splitlines()
    return [line.split("--stanza=main ")[1] for line in lines]


def test_the_first_backup_is_a_full_one(pgbackrest):
    assert database_backup.main("c", "main", str(pgbackrest)) == 0
    assert told(pgbackrest) == ["info --output=json", "stanza-create", "backup --type=full"]


def test_a_new_database_keeps_the_backups_of_the_old_one(pgbackrest):
    (pgbackrest / "stanza").write_text("28")
    assert database_backup.main("c", "main", str(pgbackrest)) == 0
    assert told(pgbackrest)[2:] == ["stanza-upgrade", "backup --type=full"]


def test_nothing_is_done_before_its_time_unless_a_person_wants_it(pgbackrest, monkeypatch):
    known = [{"backup": [made("full", 1)]}]
    (pgbackrest / "info").write_text(json.dumps(known))
    monkeypatch.setattr(database_backup.time, "time", lambda: NOW)
    assert database_backup.main("c", "main", str(pgbackrest)) == 0
    assert told(pgbackrest) == ["info --output=json"]
    assert database_backup.main("c", "main", str(pgbackrest), "diff") == 0
    assert told(pgbackrest)[-1] == "backup --type=diff"


def test_one_server_at_a_time_makes_it(pgbackrest, monkeypatch):
    monkeypatch.setattr(database_backup, "PATIENCE", 0)
    with (pgbackrest / "database.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert database_backup.main("c", "main", str(pgbackrest)) == 0
        assert database_backup.main("c", "main", str(pgbackrest), "full") == 75
    assert not (pgbackrest / "told").exists()


def test_an_answer_that_is_none_is_a_failure(pgbackrest, capsys):
    (pgbackrest / "pgbackrest").write_text("#!/bin/sh\necho 'no volume' >&2\nexit 41\n")
    assert database_backup.main("c", "main", str(pgbackrest)) == 41
    assert "no volume" in capsys.readouterr().err


def files(resources):
    return {each.path: each for each in resources if isinstance(each, File)}


def test_only_storage_servers_have_the_password_of_the_backups(scenario):
    password = scenario.secret("backup_password")
    bbdd, nas1 = scenario.machine("bbdd"), scenario.machine("nas1")
    database = [*copying.beforehand(scenario, bbdd), *copying.copied(scenario, bbdd)]
    assert not [file for file in files(database).values() if password in file.content]
    storage = files(backup.desired(scenario, nas1))
    (holder,) = [file for file in storage.values() if password in file.content]
    assert holder.secret and holder.mode == 0o640 and holder.group == repository.USER
    assert storage["/etc/crm-deployer/repository.key"].mode == 0o600


def test_storage_servers_of_another_debian_do_not_back_up_the_database(scenario):
    scenario.systems.update(nas1="debian 12")
    assert [each.name for each in repository.keepers(scenario)] == ["nas2", "nas3"]
    archive = files(copying.beforehand(scenario, scenario.machine("bbdd")))[copying.ARCHIVE]
    assert "for server in 10.1.4.22 10.1.4.23; do" in archive.content
    assert backup.begun(scenario, scenario.machine("nas1")) == []
    assert backup.begun(scenario, scenario.machine("nas2")) != []


def test_without_storage_servers_nothing_is_archived(entries, read):
    for name in ("nas1", "nas2", "nas3", "s2", "s3"):
        del entries["MACHINES"][name]
    scenario = read()
    bbdd = scenario.machine("bbdd")
    assert copying.beforehand(scenario, bbdd) == copying.copied(scenario, bbdd) == []
