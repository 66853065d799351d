"""Backups: who makes which one when, and what the machines are told of it."""

import json
import re

import pytest
from invoke.exceptions import Exit

from fabfile.engine.resources import File
from fabfile.operations import backups as operations
from fabfile.tiers.database import copying, scratch
from fabfile.tiers.storage import backup, backup_checks, database_backup, past, repository
from fabfile.verify.check import Site

HOUR = 3600
# Notes what it is told, and ends as the file says that is named as the command.
PGBACKREST = """#!/bin/sh
cd {}
echo "$*" >>told
case $* in *info*) cat info ;; esac
for last; do :; done
[ ! -e "$last" ] || exit "$(cat "$last")"
"""
NOW = 1_800_000_000


def made(kind, hours):
    stop = NOW - hours * HOUR
    return {
        "label": kind,
        "type": kind,
        "timestamp": {"start": stop - 60, "stop": stop},
        "database": {"id": 1},
        "archive": {"start": piece(1), "stop": piece(2)},
        "info": {"size": 1},
    }


def piece(number, timeline=1):
    return f"{timeline:08X}{number:016X}"


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
    program = tmp_path / "pgbackrest"
    program.write_text(PGBACKREST.format(tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "info").write_text("[]")
    return tmp_path


def told(directory):
    lines = (directory / "told").read_text().splitlines()
    return [line.split("--stanza=main ")[1] for line in lines]


def test_the_first_backup_is_a_full_one(pgbackrest):
    assert database_backup.main("c", "main") == 0
    assert told(pgbackrest) == ["info --output=json", "stanza-create", "backup --type=full"]


def test_another_cluster_takes_the_place_of_the_one_of_the_backups_only_if_told(pgbackrest):
    (pgbackrest / "stanza-create").write_text("28")
    assert database_backup.main("c", "main") == 28
    assert database_backup.main("c", "main", "diff") == 28
    assert not [words for words in told(pgbackrest) if words.startswith(("backup", "stanza-upgr"))]
    assert database_backup.main("c", "main", "anew") == 0
    assert told(pgbackrest)[-2:] == ["stanza-upgrade", "backup --type=full"]


def test_backups_of_a_database_that_was_there_before_do_not_count(pgbackrest):
    known = [{"db": [{"id": 1}, {"id": 2}], "backup": [made("full", 1)]}]
    (pgbackrest / "info").write_text(json.dumps(known))
    assert database_backup.main("c", "main") == 0
    assert told(pgbackrest)[-1] == "backup --type=full"
    assert past.known(json.dumps(known)) == []


def test_nothing_is_done_before_its_time_unless_a_person_wants_it(pgbackrest, monkeypatch):
    known = [{"db": [{"id": 1}], "backup": [made("full", 1)]}]
    (pgbackrest / "info").write_text(json.dumps(known))
    monkeypatch.setattr(database_backup.time, "time", lambda: NOW)
    assert database_backup.main("c", "main") == 0
    assert told(pgbackrest) == ["info --output=json"]
    assert database_backup.main("c", "main", "diff") == 0
    assert told(pgbackrest)[-1] == "backup --type=diff"


def test_a_database_that_was_brought_back_is_backed_up_at_once(pgbackrest, monkeypatch):
    # As if the restore had been killed before it did so itself.
    known = {"db": [{"id": 1}], "backup": [made("full", 1)]}
    monkeypatch.setattr(database_backup.time, "time", lambda: NOW)
    for timeline, told_last in ((1, "info --output=json"), (2, "backup --type=diff")):
        archive = [{"database": {"id": 1}, "id": "15-1", "max": piece(9, timeline)}]
        (pgbackrest / "info").write_text(json.dumps([{**known, "archive": archive}]))
        assert database_backup.main("c", "main") == 0
        assert told(pgbackrest)[-1] == told_last


def test_an_answer_that_is_none_is_a_failure(pgbackrest, capsys):
    (pgbackrest / "pgbackrest").write_text("#!/bin/sh\necho 'no volume' >&2\nexit 41\n")
    assert database_backup.main("c", "main") == 41
    assert "no volume" in capsys.readouterr().err


def files(resources):
    return {each.path: each for each in resources if isinstance(each, File)}


def test_only_storage_servers_have_the_password_of_the_backups(scenario):
    password = scenario.secret("backup_password")
    bbdd, nas1 = scenario.machine("bbdd"), scenario.machine("nas1")
    database = [*copying.beforehand(scenario, bbdd), *copying.copied(scenario, bbdd)]
    assert not [file for file in files(database).values() if password in file.content]
    storage = files(backup.desired(scenario, nas1))
    holders = [file for file in storage.values() if password in file.content]
    assert [(file.secret, f"{file.mode:o}", file.group) for file in holders] == [
        (True, "640", repository.USER),
        (True, "600", "root"),
    ]
    assert storage["/etc/crm-deployer/repository.key"].mode == 0o600


def test_storage_servers_of_another_debian_do_not_back_up_the_database(scenario):
    scenario.systems.update(nas1="debian 12")
    assert [each.name for each in repository.keepers(scenario)] == ["nas2", "nas3"]
    archive = files(copying.beforehand(scenario, scenario.machine("bbdd")))[copying.ARCHIVE]
    assert "for server in 10.1.4.22 10.1.4.23; do" in archive.content
    begun = {
        name: [step.key for step in backup.begun(scenario, scenario.machine(name))]
        for name in ("nas1", "nas2", "nas3")
    }
    assert begun == {
        "nas1": ["back up the uploads for the first time"],
        "nas2": ["back up the database for the first time"],
        "nas3": [],
    }


def test_without_storage_servers_nothing_is_archived(entries, read):
    for name in ("nas1", "nas2", "nas3", "s2", "s3"):
        del entries["MACHINES"][name]
    scenario = read()
    bbdd = scenario.machine("bbdd")
    assert copying.beforehand(scenario, bbdd) == copying.copied(scenario, bbdd) == []


@pytest.mark.parametrize(
    ("backups", "ok", "said"),
    [
        ([], False, "there is no backup"),
        ([made("full", 1)], True, "the last one 60 min ago, the last full one 60 min ago"),
        ([made("full", 100), made("diff", 27)], False, "the last one 27 h ago"),
        ([made("full", 8 * 24), made("diff", 1)], False, "the last full one 8 d ago"),
    ],
)
def test_backups_that_are_too_old_are_told(backups, ok, said):
    text = json.dumps([{"db": [{"id": 1}], "backup": backups}])
    answer, seen = backup_checks.judge(past.Past(tuple(past.known(text))), NOW)
    assert answer is ok and said in seen


@pytest.mark.parametrize(("minutes", "ok"), [(59, False), (60, False), (61.5, True)])
def test_a_log_that_was_given_up_is_told_until_there_is_a_backup_begun_after_it(minutes, ok):
    # The last one was made within a minute, an hour ago.
    backups = past.known(json.dumps([{"db": [{"id": 1}], "backup": [made("full", 1)]}]))
    answer, seen = backup_checks.judge(past.Past(tuple(backups)), NOW, int(NOW - minutes * 60))
    assert answer is ok and ("'invoke backup.now' makes one" in seen) is not ok


@pytest.mark.parametrize(
    ("minutes", "ok", "said"),
    [
        ([], False, "there is none"),
        ([50, 10], True, "10 min ago; 2 snapshots, the first 50 min ago"),
        ([50], False, "50 min ago; 1 snapshot, the"),
    ],
)
def test_a_snapshot_of_the_uploads_that_is_too_old_is_told(minutes, ok, said):
    answer, seen = backup_checks.judge_uploads([NOW - 60 * each for each in minutes], NOW)
    assert answer is ok and said in seen


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-11-25 13:05", ""),
        ("2026-11-25T13:05:00+01:00", ""),
        ("noon", "--to is 'noon', it must be a time"),
    ],
)
def test_a_time_is_read_as_a_person_writes_it(text, said):
    if said:
        with pytest.raises(Exit) as caught:
            operations.moment_of(text)
        assert said in caught.value.message
    else:
        assert operations.moment_of(text).utcoffset() is not None


@pytest.mark.parametrize(
    ("text", "ok", "said"),
    [
        ("\n{now}", True, "they were not read yet"),
        ("\n{old}", False, "they were not read yet"),
        ("\n", True, "they were not read yet"),
        ("{now} 0 \n{old}", True, "all were read 0 s ago"),
        ("{old} 0 \n{old}", False, "all were read 10 d ago"),
        (
            "{now} 1 pack 12 contains 2 errors\n{old}",
            False,
            "DAMAGED, or unreadable: pack 12 contains 2 errors. If that is so again after",
        ),
    ],
)
def test_damage_of_the_snapshots_is_told_and_that_they_are_not_read(text, ok, said):
    text = text.format(now=NOW, old=NOW - 10 * 24 * HOUR)
    answer, seen = backup_checks.judge_read(text, NOW)
    assert answer is ok and said in seen


def test_who_tries_next_is_another_server_each_time(scenario):
    timers = [
        files(backup.desired(scenario, machine))["/etc/systemd/system/backup-uploads.timer"].content
        for machine in scenario.tier("storage")
    ]
    times = [re.search("^OnCalendar=(.*)$", text, re.M)[1] for text in timers]
    assert times == ["*:00/15", "*:05/15", "*:10/15"]


def test_without_storage_servers_verify_warns(entries, read):
    for name in ("nas1", "nas2", "nas3", "s2", "s3"):
        del entries["MACHINES"][name]
    (check,) = backup_checks.checks(Site(read(), {}))
    assert check.ok and check.warning and "three machines of the tier 'storage'" in check.seen


def test_a_database_server_of_another_debian_is_said_to_be_why(scenario):
    scenario.systems.update(bbdd="debian 12")
    check, *_uploads = backup_checks.checks(Site(scenario, {}))
    assert check.warning and "no storage server runs the Debian of the database" in check.seen


def test_what_a_person_begins_has_the_limits_of_the_timers_but_for_a_restore(scenario):
    limits = f"systemd-run --quiet --scope -p CPUQuota={repository.QUOTA} "
    uploads = backup.run_uploads(scenario, "now", gently=True)
    checks = [scratch.check(scenario), backup.read_uploads(scenario)]
    made = [backup.run("full", gently=True), uploads, *checks]
    assert [limits in command for command in made] == [True, True, True, True]
    others = [backup.run("diff"), backup.bring_uploads(scenario, "missing 0")]
    assert [limits in command for command in others] == [False, False]
