"""The program that backs up uploads, with programs that stand in for restic and mount."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fabfile.tiers.storage.snapshots import __main__ as program
from fabfile.tiers.storage.snapshots import bringing, restic

HERE = Path(restic.__file__).parents[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-26T18:00:00.123456789Z", 1795716000),
        ("2026-11-26T19:00:00.5+01:00", 1795716000),
        ("2026-11-26T18:00:00Z", 1795716000),
    ],
)
def test_times_of_restic_are_read(text, expected):
    assert restic.seconds(text) == expected


def test_names_are_patterns_for_themselves_alone():
    assert bringing.escaped("/a/b*[1]?\\.png") == "/a/b\\*\\[1]\\?\\\\.png"


# A file that is restored has its own path as its content; where "dies" is, it dies before that.
RESTIC = """#!/bin/sh
cd {}
shift
echo "$RESTIC_REPOSITORY $*" >>told
case $1 in
backup) if [ -e fails ]; then cat fails >&2; exit 3; fi ;;
init) mkdir -p uploads && : >uploads/config ;;
snapshots) cat snapshots ;;
ls) cat ls ;;
check) if [ -e damaged ]; then cat damaged >&2; exit 1; fi ;;
restore)
  while [ "$1" != --target ]; do shift; done
  target=$2
  shift 2
  for word; do
    [ "$word" != --include ] || continue
    mkdir -p "$target$(dirname "$word")"
    printf torn >"$target$word"
    [ ! -e dies ] || kill -9 $PPID
    printf %s "$word" >"$target$word"
  done ;;
esac
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Give programs that stand in for restic, mount and umount, and what restic was told."""
    for name, text in (("restic", RESTIC), ("mount", "#!/bin/sh\n"), ("umount", "#!/bin/sh\n")):
        (tmp_path / name).write_text(text.format(tmp_path))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(restic, "PLACE", str(tmp_path / "place"))
    monkeypatch.setattr(bringing, "PLACE", str(tmp_path / "place"))
    monkeypatch.setattr(bringing, "TARGET", str(tmp_path / "place"))
    (tmp_path / "snapshots").write_text("[]")
    return tmp_path


def asked(fake):
    file = fake / "told"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return [line.split(" ", 1)[1] for line in lines]


def backed_up(fake, *words):
    return program.main(str(fake / "uploads"), "password", "nas", *words)


def test_uploads_are_backed_up_when_the_last_time_is_long_ago(fake):
    assert backed_up(fake) == 0
    begun = asked(fake)
    assert begun[:2] == ["init", "unlock --remove-all"]
    place = f"{fake}/place"
    assert begun[2] == f"backup --host nas --exclude .verify-* --exclude {place}/.bringing {place}"
    assert begun[3].startswith(
        "forget --host nas --keep-within 1d --keep-within-hourly 14d --prune"
    )
    assert begun[4:] == []
    assert backed_up(fake) == 0 and asked(fake) == []
    # What is too old is removed once a day.
    assert backed_up(fake, "now") == 0 and len(asked(fake)) == 2
    os.utime(fake / "uploads.done", (0, 0))
    assert backed_up(fake) == 0 and asked(fake)[-1].startswith("backup")


def test_nothing_is_removed_while_somebody_reads_and_it_is_done_later(fake):
    with open(fake / "uploads.kept.lock", "w") as reading:
        fcntl.flock(reading, fcntl.LOCK_SH)
        assert backed_up(fake) == 0
        assert asked(fake)[-1].startswith("backup")
    assert backed_up(fake, "now") == 0
    assert asked(fake)[-1].startswith("forget")


def read_words(fake):
    return (fake / "uploads.checked").read_text().split(" ", 1)[1]


def test_all_is_read_each_week_and_a_day_behind_damage(fake, capsys):
    assert backed_up(fake, "read") == 0 and asked(fake) == []
    backed_up(fake)
    asked(fake)
    assert backed_up(fake, "read") == 0
    assert asked(fake) == ["check --read-data --no-lock"] and read_words(fake) == "0 \n"
    for days, begun in ((6, 0), (8, 1)):
        note = fake / "uploads.checked"
        note.write_text(f"{restic.time.time() - days * restic.DAY:.0f} 0 \n")
        assert backed_up(fake, "read") == 0 and len(asked(fake)) == begun
    (fake / "damaged").write_text(
        "pack 12 contains 2 errors\n in it\nFatal: repository contains errors\n"
    )
    with pytest.raises(restic.Failed, match="damaged"):
        backed_up(fake, "check")
    assert read_words(fake) == "1 pack 12 contains 2 errors in it\n"
    capsys.readouterr()
    assert backed_up(fake, "tell") == 0
    assert "DAMAGED, or unreadable, 0 h ago: pack 12 contains 2 errors" in capsys.readouterr().out
    asked(fake)
    for hours, begun in ((23, 0), (25, 1)):
        note.write_text(f"{restic.time.time() - hours * 3600:.0f} 1 pack\n")
        (fake / "damaged").unlink(missing_ok=True)
        assert backed_up(fake, "read") == 0 and len(asked(fake)) == begun
    backed_up(fake, "tell")
    assert "DAMAGED" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("cause", "is_made"), [("no such file or directory", True), ("input/output error", False)]
)
def test_a_file_that_is_removed_meanwhile_is_no_failure(fake, cause, is_made):
    lines = f"error: lstat /a: no such file or directory\nerror: lstat /b: {cause}\nWarning: one\n"
    (fake / "fails").write_text(lines)
    if is_made:
        assert backed_up(fake) == 0
    else:
        with pytest.raises(subprocess.CalledProcessError):
            backed_up(fake)
    assert (fake / "uploads.done").exists() is is_made


def node(path, kind="file", **more):
    return {"type": kind, "path": str(path), "uid": os.getuid(), "gid": os.getgid(), **more}


@pytest.fixture
def snapshot(fake):
    """Have two snapshots, in which are two photos, and one of these is on the volume."""
    (fake / "uploads").mkdir()
    (fake / "uploads/config").touch()
    snapshots = [
        {"id": name, "time": f"2026-11-26T1{hour}:00:00Z"} for name, hour in (("a", 0), ("b", 2))
    ]
    (fake / "snapshots").write_text(json.dumps(snapshots))
    place = fake / "place"
    place.mkdir()
    (place / "there").write_text("here")
    nodes = [
        {"struct_type": "snapshot", "time": "2026"},
        node(place / "sub", "dir", mode=1 << 31 | 0o750),
        node(place / "sub/gone", size=4, mode=0o640),
        node(place / "there", size=4, mode=0o640),
    ]
    (fake / "ls").write_text("\n".join(map(json.dumps, nodes)))
    return place


def test_what_is_on_the_volume_stays_when_uploads_are_brought_back(fake, snapshot, capsys):
    assert backed_up(fake, "missing", str(restic.seconds("2026-11-26T11:00:00Z"))) == 0
    assert asked(fake)[1:] == [
        "ls --json --no-lock a",
        f"restore a --no-lock --target {snapshot}/.bringing --include {snapshot}/sub/gone",
    ]
    gone = snapshot / "sub/gone"
    assert (snapshot / "there").read_text() == "here" and gone.read_text() == str(gone)
    # Its directory was gone, too, and nothing is left of the way.
    assert f"{gone.parent.stat().st_mode:o}" == "40750"
    assert {each.name for each in snapshot.iterdir()} == {"sub", "there"}
    # Before the first, there is nothing to bring.
    assert backed_up(fake, "missing", "0") == 0 and len(asked(fake)) == 1
    (snapshot / "there").unlink()
    assert backed_up(fake, "missing", "9e9") == 0
    assert asked(fake)[-1].startswith("restore b ") and (snapshot / "there").exists()


def test_a_restore_that_is_killed_leaves_no_torn_photo_and_the_next_one_ends_it(fake, snapshot):
    (fake / "dies").touch()
    code = (
        "import sys; from snapshots import bringing, restic, __main__ as program\n"
        f"bringing.PLACE = bringing.TARGET = restic.PLACE = {str(snapshot)!r}\n"
        f"program.main({str(fake / 'uploads')!r}, 'password', 'nas', 'missing', '9e9')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.run([sys.executable, "-B", "-c", code], env=environment)
    assert done.returncode == -9
    gone = snapshot / "sub/gone"
    assert not gone.exists() and (snapshot / ".bringing").exists()
    (fake / "dies").unlink()
    assert backed_up(fake, "missing", "9e9") == 0
    assert gone.read_text() == str(gone) and not (snapshot / ".bringing").exists()


def test_uploads_for_which_there_is_no_room_are_not_begun(fake, snapshot):
    (fake / "ls").write_text(json.dumps(node(snapshot / "big", size=1 << 60)))
    for words in (
        ("missing", "9e9"),
        ("room", "9e9", f"{fake}/look"),
        ("into", "9e9", f"{fake}/x"),
    ):
        with pytest.raises(restic.Failed, match="are free for them"):
            backed_up(fake, *words)
    assert not [words for words in asked(fake) if words.startswith("restore")]
