"""Copies in the second place: their order, what they must follow, and how they come back."""

import os
import shutil

import pytest

from fabfile.tiers.storage import backup_checks
from fabfile.tiers.storage.copier import __main__ as program
from fabfile.tiers.storage.copier.copies import Copies
from fabfile.tiers.storage.copier.place import Failed, Place
from fabfile.tiers.storage.copier.steps import KINDS, is_whole, labels, refusal, steps
from tests.unit.copied import FULL, OF_DATABASE, OF_UPLOADS, WAL, Here, held, write

DATABASE, UPLOADS = KINDS


@pytest.fixture
def volume(tmp_path):
    """Return the volume of the backups, with both repositories."""
    write(tmp_path / "volume/postgresql", OF_DATABASE)
    write(tmp_path / "volume/uploads", OF_UPLOADS)
    return tmp_path / "volume"


@pytest.fixture
def place(tmp_path):
    return tmp_path / "place"


def copies(volume, place, left=1000):
    found = Copies("", "", str(volume))
    found.place = Here(place, left)
    return found


def test_what_refers_to_other_files_comes_last_and_goes_first():
    here = dict.fromkeys(OF_DATABASE, 1)
    assert [paths for _, paths in steps(DATABASE, here, {})][1:] == [
        ["archive/main/archive.info.copy", "backup/main/backup.info.copy"],
        ["archive/main/archive.info", "backup/main/backup.info"],
    ]
    here = dict.fromkeys(OF_UPLOADS, 1)
    there = {"data/old": 1, "index/old": 1, "snapshots/old": 1}
    assert steps(UPLOADS, here, there) == [
        ("copy", ["config", "data/aa/aa", "keys/k"]),
        ("copy", ["index/i"]),
        ("copy", ["snapshots/s"]),
        ("remove", ["snapshots/old"]),
        ("remove", ["index/old"]),
        ("remove", ["data/old"]),
    ]


def test_what_is_there_is_not_copied_again_but_for_what_may_change():
    here = dict.fromkeys(OF_DATABASE, 1)
    copied = [path for _, paths in steps(DATABASE, here, here) for path in paths]
    assert len(copied) == 4 and all(".info" in path for path in copied)
    here = dict.fromkeys(OF_UPLOADS, 1)
    assert steps(UPLOADS, here, here) == []
    # One that was cut.
    assert steps(UPLOADS, here, {**here, "data/aa/aa": 0}) == [("copy", ["data/aa/aa"])]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"backup/main/{FULL}/pg_data/bundle/1", True),
        ("backup/main/20261127-210000F/pg_data/bundle/1", False),
        ("backup/main/20261127-210000F/backup.manifest.copy", False),
        ("backup/main/backup.history/2026/20261126-210000F.manifest.zst", True),
        ("backup/main/backup.info", True),
        (WAL, True),
        (f"{WAL}.pgbackrest.tmp", False),
        ("database.lock", False),
        ("locks/0123", False),
        ("data/aa/aa-tmp-123", False),
        ("second-place", False),
    ],
)
def test_what_somebody_is_still_making_is_not_copied(path, expected):
    assert is_whole(path, dict.fromkeys([*OF_DATABASE, path], 1)) is expected


def test_the_latest_backup_is_the_one_of_the_latest_time():
    names = (FULL, f"{FULL}_20261128-210000D", "20261127-210000F")
    found = labels({f"backup/main/{name}/backup.manifest": 1 for name in names})
    assert found[-1] == f"{FULL}_20261128-210000D"


@pytest.mark.parametrize(
    ("known", "claims", "there", "said"),
    [
        (set(), set(), {}, ""),
        ({"a"}, {"a"}, {"x": 1}, ""),
        # A copy that was killed between its steps leaves two.
        ({"a", "b"}, {"a", "b"}, {"x": 1}, ""),
        ({"a"}, {"b"}, {"x": 1}, "backups that these do not follow"),
        ({"a"}, {"a", "b"}, {"x": 1}, "backups that these do not follow"),
        (set(), {"b"}, {}, "backups that these do not follow"),
        (set(), set(), {"x": 1}, "files that are none of these"),
    ],
)
def test_only_what_follows_the_copies_is_copied(known, claims, there, said):
    found = refusal(DATABASE, known, claims, there)
    assert said in found and bool(said) == bool(found)


def test_both_are_copied_and_what_is_removed_or_changed_is_set_aside(volume, place):
    copies(volume, place).make()
    assert held(place / "current") == held(volume)
    write(volume / "postgresql", {"backup/main/backup.info": f"{FULL} more"})
    (volume / "uploads/snapshots/s").unlink()
    second = copies(volume, place)
    second.stamp = "20261126T210000Z"
    second.make()
    assert held(place / "current") == held(volume)
    assert held(place / "old") == {
        "20261126T210000Z/postgresql/backup/main/backup.info": FULL,
        "20261126T210000Z/uploads/snapshots/s": "i",
    }
    # And gone when it is old enough, with nothing younger.
    (place / "old/20200101T000000Z").mkdir()
    copies(volume, place).make()
    assert sorted(os.listdir(place / "old")) == ["20261126T210000Z"]


def check_that_it_restores(place):
    """See that nothing in the place refers to what is not there."""
    found = held(place / "current")
    for name in ("backup.info", "backup.info.copy"):
        for label in found.get(f"postgresql/backup/main/{name}", "").split():
            assert f"postgresql/backup/main/{label}/backup.manifest" in found
    for kind, of in (("snapshots", "index"), ("index", "data/aa")):
        for name, refers in found.items():
            if name.startswith(f"uploads/{kind}/"):
                assert f"uploads/{of}/{refers}" in found, (name, found)
    info = [f"postgresql/backup/main/backup.info{end}" for end in ("", ".copy")]
    assert any(name in found for name in info)


@pytest.mark.parametrize("left", range(25))
def test_a_copy_that_is_cut_anywhere_restores_and_the_next_one_goes_on(volume, place, left):
    copies(volume, place).make()
    # All of it is replaced by something else.
    shutil.rmtree(volume / f"postgresql/backup/main/{FULL}")
    label = "20261127-210000F"
    new = {name: label for name in OF_DATABASE if "backup.info" in name}
    write(volume / "postgresql", {**new, f"backup/main/{label}/backup.manifest": "manifest"})
    for name in ("data/aa/aa", "index/i", "snapshots/s"):
        (volume / "uploads" / name).unlink()
    write(volume / "uploads", {"data/aa/bb": "d", "index/j": "bb", "snapshots/t": "j"})
    cut = copies(volume, place, left)
    try:
        cut.make()
    except Failed:
        assert cut.told()["why"] == "it is away" and cut.told()["done"]
        check_that_it_restores(place)
    else:
        assert left > 20
    copies(volume, place).make()
    assert held(place / "current") == held(volume)


@pytest.fixture
def other(tmp_path):
    """Return another volume, of machines that were made again: it has new repositories."""
    write(tmp_path / "other/postgresql", {**OF_DATABASE, "archive/main/archive.info": "2"})
    write(tmp_path / "other/uploads", {**OF_UPLOADS, "config": "another"})
    return tmp_path / "other"


def refused(work, *given, **options):
    with pytest.raises(Failed) as caught:
        work(*given, **options)
    return str(caught.value)


def test_other_repositories_do_not_take_the_place_of_those_before_by_themselves(
    volume, other, place
):
    copies(volume, place).make()
    before = held(place)
    again = copies(other, place)
    assert "backup.restore --from-second-place" in refused(again.make)
    assert held(place) == before
    assert "these do not follow" in again.told()["why"]
    shutil.rmtree(other / "uploads")
    shutil.rmtree(other / "postgresql")
    (other / "postgresql").mkdir()
    assert "these do not follow" in refused(copies(other, place).make)
    assert held(place) == before


def test_a_person_may_say_so_and_what_was_there_is_set_aside(volume, other, place):
    copies(volume, place).make()
    again = copies(other, place)
    again.make(take=True)
    assert held(place / "current") == held(other)
    assert held(place / "old" / again.stamp) == held(volume)
    copies(other, place).make()
    # The ones before are no longer those that the copies are of.
    assert "these do not follow" in refused(copies(volume, place).make)


def test_an_empty_volume_gets_all_and_is_what_the_copies_are_of_from_then_on(
    volume, place, tmp_path
):
    copies(volume, place).make()
    new = tmp_path / "new"
    for kind in KINDS:
        (new / kind.name).mkdir(parents=True)
        copies(new, place).fetch(kind)
    assert held(new) == held(volume)
    assert os.readlink(new / "postgresql/backup/main/latest") == FULL
    copies(new, place).make()
    # Somebody else who is still there is told.
    assert "these do not follow" in refused(copies(volume, place).make)
    # Again is nothing new.
    copies(new, place, left=0).fetch(DATABASE)


def test_what_was_fetched_by_half_goes_on_and_what_is_there_is_not_mixed(
    volume, other, place, tmp_path
):
    copies(volume, place).make()
    assert "must not mix" in refused(copies(other, place).fetch, DATABASE)
    new = tmp_path / "new"
    (new / "postgresql").mkdir(parents=True)
    refused(copies(new, place, left=1).fetch, DATABASE)
    write(new / "postgresql", {WAL: "half"})
    copies(new, place).fetch(DATABASE)
    assert (new / "postgresql" / WAL).read_text() == "log"


def test_an_empty_place_has_no_database_to_bring(place, tmp_path):
    (tmp_path / "new/postgresql").mkdir(parents=True)
    assert "no backups of a database" in refused(copies(tmp_path / "new", place).fetch, DATABASE)


def test_repositories_that_are_gone_are_not_copied_as_nothing(volume, place):
    copies(volume, place).make()
    (volume / "uploads/config").unlink()
    assert "there is no repository in" in refused(copies(volume, place).make)


def test_nothing_is_copied_of_a_volume_that_is_not_mounted(volume):
    assert "is not mounted" in refused(program.main, "config", "root", str(volume))


def test_an_error_of_rclone_is_told_without_what_lets_in(tmp_path, monkeypatch):
    said = "2026/11/26 21:00:00 ERROR : x: no access for LETMEIN with s3cr3t"
    (tmp_path / "rclone").write_text(f"#!/bin/sh\necho 'an earlier line\n{said}' >&2\nexit 1\n")
    (tmp_path / "rclone").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    config = tmp_path / "config"
    config.write_text("[second]\naccess_key_id = LETMEIN\nsecret_access_key = s3cr3t\n")
    found = refused(Place(str(config), "root").rclone, "lsf", "x")
    assert found == "ERROR : x: no access for ******** with ********"
    (tmp_path / "rclone").write_text("#!/bin/sh\nexit 3\n")
    assert Place(str(config), "root").rclone("lsf", "x") == ""
    assert refused(Place(str(config), "root").rclone, "copy", "x") == "rclone ended with 3"


@pytest.mark.parametrize(
    ("known", "ok", "said"),
    [
        ({}, False, "none"),
        ({"done": 9940}, True, "1 min ago"),
        ({"done": 5000}, False, "83 min ago"),
        ({"done": 5000, "why": "it is away"}, False, "83 min ago; failed: it is away"),
        ({"done": None, "why": "it is away"}, False, "none; failed: it is away"),
    ],
)
def test_a_copy_that_is_too_old_is_told_with_its_cause(known, ok, said):
    assert backup_checks.judge_copy(known, 10_000) == (ok, said)
