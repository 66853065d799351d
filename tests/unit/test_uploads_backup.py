"""The program that backs up uploads, with programs that stand in for restic and mount."""

import json
import os
import subprocess

import pytest

from fabfile.tiers.storage import uploads_backup


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-26T18:00:00.123456789Z", 1795716000),
        ("2026-11-26T19:00:00.5+01:00", 1795716000),
        ("2026-11-26T18:00:00Z", 1795716000),
    ],
)
def test_times_of_restic_are_read(text, expected):
    assert uploads_backup.seconds(text) == expected


def test_names_are_patterns_for_themselves_alone():
    assert uploads_backup.escaped("/a/b*[1]?\\.png") == "/a/b\\*\\[1]\\?\\\\.png"


def test_the_files_of_a_snapshot_are_read():
    lines = [
        '{"time":"2026","struct_type":"snapshot"}',
        '{"name":"crm","type":"dir","path":"/mnt/uploads/crm","struct_type":"node"}',
        '{"name":"a","type":"file","path":"/mnt/uploads/crm/a","struct_type":"node"}',
    ]
    assert uploads_backup.names("\n".join(lines)) == ["/mnt/uploads/crm/a"]


RESTIC = """#!/bin/sh
cd {}
shift
echo "$RESTIC_REPOSITORY $*" >>told
case $1 in
backup) if [ -e fails ]; then cat fails >&2; exit 3; fi ;;
init) mkdir -p uploads && : >uploads/config ;;
snapshots) cat snapshots ;;
ls) cat ls ;;
esac
"""


@pytest.fixture
def restic(tmp_path, monkeypatch):
    """Give programs that stand in for restic, mount and umount, and what restic was told."""
    for name, text in (("restic", RESTIC), ("mount", "#!/bin/sh\n"), ("umount", "#!/bin/sh\n")):
        (tmp_path / name).write_text(text.format(tmp_path))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(uploads_backup, "PLACE", str(tmp_path / "place"))
    (tmp_path / "snapshots").write_text("[]")
    return tmp_path


def asked(restic):
    file = restic / "told"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return [line.split(" ", 1)[1] for line in lines]


def backed_up(restic, *words):
    return uploads_backup.main(str(restic / "uploads"), "password", "nas", *words)


def test_uploads_are_backed_up_when_the_last_time_is_long_ago(restic):
    assert backed_up(restic) == 0
    begun = asked(restic)
    assert begun[:2] == ["init", "unlock --remove-all"]
    assert begun[2] == f"backup --host nas --exclude .verify-* {restic}/place"
    assert begun[3].startswith(
        "forget --host nas --keep-within 1d --keep-within-hourly 14d --prune"
    )
    # All is read once a week.
    assert begun[4:] == ["check --read-data"]
    assert backed_up(restic) == 0 and asked(restic) == []
    # What is too old is removed once a day.
    assert backed_up(restic, "now") == 0 and len(asked(restic)) == 2
    os.utime(restic / "uploads.done", (0, 0))
    assert backed_up(restic) == 0 and asked(restic)[-1].startswith("backup")


@pytest.mark.parametrize(
    ("cause", "is_made"), [("no such file or directory", True), ("input/output error", False)]
)
def test_a_file_that_is_removed_meanwhile_is_no_failure(restic, cause, is_made):
    lines = f"error: lstat /a: no such file or directory\nerror: lstat /b: {cause}\nWarning: one\n"
    (restic / "fails").write_text(lines)
    if is_made:
        assert backed_up(restic) == 0
    else:
        with pytest.raises(subprocess.CalledProcessError):
            backed_up(restic)
    assert (restic / "uploads.done").exists() is is_made


def test_what_is_on_the_volume_stays_when_uploads_are_brought_back(restic):
    (restic / "uploads").mkdir()
    (restic / "uploads/config").touch()
    snapshots = [
        {"id": name, "time": f"2026-11-26T1{hour}:00:00Z"} for name, hour in (("a", 0), ("b", 2))
    ]
    (restic / "snapshots").write_text(json.dumps(snapshots))
    (restic / "place").mkdir()
    (restic / "place/there").touch()
    paths = [f"{restic}/place/{name}" for name in ("there", "gone")]
    (restic / "ls").write_text("\n".join(json.dumps({"type": "file", "path": p}) for p in paths))
    assert backed_up(restic, "missing", str(uploads_backup.seconds("2026-11-26T11:00:00Z"))) == 0
    assert asked(restic)[1:] == [
        "ls --json --no-lock a",
        f"restore a --target / --include {paths[1]}",
    ]
    # Before the first, there is nothing to bring.
    assert backed_up(restic, "missing", "0") == 0 and len(asked(restic)) == 1
    (restic / "place/there").unlink()
    assert backed_up(restic, "missing", "9e9") == 0
    assert asked(restic)[-1] == "restore b --target /"
