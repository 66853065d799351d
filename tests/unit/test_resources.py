"""What each resource plans for what it finds, and that its shell brings about what it compares."""

import base64
import hashlib
import io
import os
import subprocess
import tarfile
from dataclasses import replace

import pytest

from fabfile.engine.change import Refused
from fabfile.engine.resources import (
    Directory,
    File,
    Link,
    Packages,
    Port,
    Run,
    Service,
    Unpacked,
    User,
)
from fabfile.engine.resources.pending import mark

NOTHING = frozenset()


def file_facts(content, rights="regular file|644 root root"):
    data = content.encode()
    digest = hashlib.sha256(data).hexdigest()
    return f"{rights}\n{digest}\n{base64.b64encode(data).decode()}"


ROWS = [
    (File("/etc/a", "b\n"), file_facts("b\n"), None),
    (File("/etc/a", "b\n"), file_facts("c\n"), "change /etc/a"),
    (
        File("/etc/a", "b\n"),
        file_facts("b\n", "regular file|600 root root"),
        "rights of /etc/a: 600 root root -> 644 root root",
    ),
    (File("/etc/a", "b\n"), "", "create /etc/a"),
    (File("/etc/a", ""), file_facts("", "regular empty file|644 root root"), None),
    (Directory("/srv/a"), "directory|755 root root\n", None),
    (Directory("/srv/a"), "directory|700 root root\n", "rights of /srv/a/"),
    (Directory("/srv/a"), "", "create /srv/a/"),
    (Link("/srv/a", "b"), "b\n", None),
    (Link("/srv/a", "b"), "c\n", "point /srv/a at b"),
    (Link("/srv/a", "b"), "", "point /srv/a at b"),
    (Unpacked("/srv/a", lambda: b""), "there\n", None),
    (Unpacked("/srv/a", lambda: b""), "", "unpack /srv/a/"),
    (Unpacked("/srv/a", lambda: b"", build="make"), "", "build /srv/a/"),
    (Packages("a", "b"), "ii a\nii b\n", None),
    (Packages("a", "b"), "ii a\nrc b\n", "install b"),
    (Packages("a", "b"), "", "install a b"),
    (Packages("a"), "ii a\nunfinished\n", "finish an interrupted installation"),
    (User("crm", 900, "/srv"), "crm:x:900:900::/srv:/usr/sbin/nologin\n", None),
    (User("crm", 900, "/srv"), "crm:x:901:901::/srv:/usr/sbin/nologin\n", "repair the user crm"),
    (User("crm", 900, "/srv"), "crm:x:900:900::/srv:/bin/bash\n", "repair the user crm"),
    (User("crm", 900, "/srv"), "crm:x:900:5::/srv:/usr/sbin/nologin\n", "repair the user crm"),
    (User("crm", 900, "/srv"), "", "create the user crm"),
    (User("crm", 900, "/srv"), "crm:x:900:900::/srv:/usr/sbin/nologin\ncrm:x:900:\n", None),
    (User("crm", None, "/srv"), "crm:x:901:901::/srv:/usr/sbin/nologin\n", None),
    (Run("make it", "make", unless="true"), "done\n", None),
    (Run("make it", "make", unless="true"), "", "make it"),
    (Run("make it", "make", unless="true"), "pending\ndone\n", "make it"),
]


@pytest.mark.parametrize(("resource", "facts", "summary"), ROWS)
def test_plan(resource, facts, summary):
    change = resource.plan(facts, NOTHING)
    assert (change and change.summary) == summary
    assert change is None or change.key == resource.key


def test_a_diff_is_unified_and_shows_just_the_edit():
    lines = [f"line {number}" for number in range(40)]
    desired = "\n".join(lines) + "\n"
    change = File("/etc/a", desired).plan(file_facts(desired.replace("line 20", "edit")), NOTHING)
    edits = [line for line in change.diff.splitlines() if line[0] in "+-"]
    assert edits == ["--- /etc/a (now)", "+++ /etc/a (desired)", "-edit", "+line 20"]
    assert "@@ -18,7 +18,7 @@" in change.diff
    assert "line 1\n" not in change.diff


def test_a_new_file_is_shown_whole():
    change = File("/etc/a", "one\ntwo\n").plan("", NOTHING)
    assert [line for line in change.diff.splitlines() if line[0] == "+"][1:] == ["+one", "+two"]


@pytest.mark.parametrize("before", ["", file_facts("password = older\n")])
def test_a_secret_is_in_no_plan(before):
    resource = File("/etc/a", "password = hush\n", mode=0o600, secret=True)
    change = resource.plan(before, NOTHING)
    for text in (change.diff, change.summary, change.script, resource.probe()):
        assert "hush" not in text
        assert "older" not in text


def test_a_probe_of_a_secret_prints_no_content(machine, tmp_path):
    path = tmp_path / "secret"
    path.write_text("older\n")
    facts = machine.facts(File(str(path), "hush\n", secret=True))
    assert len(facts.splitlines()) == 2
    assert base64.b64encode(b"older\n").decode() not in facts


def test_a_run_follows_what_it_comes_after():
    resource = Run("make it", "make", unless="true", after=("/etc/a",))
    assert resource.plan("done\n", {"/etc/b"}) is None
    assert resource.plan("done\n", {"/etc/a"}).marker == "make it"
    assert resource.plan("pending\ndone\n", NOTHING).marker == "make it"


def test_what_is_on_trial_holds_when_it_is_confirmed():
    # What an earlier trial had refused may have come back by itself since it was probed.
    resource = Run("try it", "try", unless="is_there", confirm="keep")
    assert resource.plan("", NOTHING).script == "try"
    assert resource.plan("done\n", NOTHING) is None


def test_marks_are_names_of_files_in_one_directory():
    assert mark("restart a.service").rpartition("/")[2] == "restart-a.service"
    assert mark("../../etc/passwd").count("/") == mark("x").count("/")


SHELL = [
    *(resource for resource, _, _ in ROWS),
    Service("a.service", restart=("/etc/a",), reload=("/etc/b",)),
    File("/e/it's", "x", check="true {}"),
]


@pytest.mark.parametrize("resource", SHELL)
def test_the_shell_can_be_read(resource):
    change = resource.plan("", NOTHING)
    for script in (resource.probe(), change.script):
        done = subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr


def brought_about(machine, resource):
    """Apply what the resource plans; its plan is then empty."""
    change = machine.plan(resource)
    assert change is not None
    done = machine.apply(change)
    assert done.returncode == 0, done.stderr
    assert machine.plan(resource) is None
    return change


@pytest.mark.parametrize("name", ["file", "with space", "it's", "deep/er/file"])
@pytest.mark.parametrize("content", ["", "a\n", "no newline", "ünïcode $HOME `id`\n"])
def test_a_file_is_written(machine, tmp_path, name, content):
    path = tmp_path / name
    resource = machine.own(File, str(path), content, mode=0o640)
    brought_about(machine, resource)
    assert path.read_text() == content
    assert path.stat().st_mode & 0o7777 == 0o640
    path.chmod(0o600)
    assert brought_about(machine, resource).summary.startswith("rights of")
    path.write_text("by hand\n")
    assert "-by hand" in brought_about(machine, resource).diff
    assert path.read_text() == content
    assert [entry.name for entry in path.parent.iterdir() if entry.name.endswith(".new")] == []


def test_a_link_in_the_place_of_a_file_is_replaced_and_its_target_kept(machine, tmp_path):
    target, path = tmp_path / "target", tmp_path / "file"
    target.write_text("kept\n")
    path.symlink_to(target)
    brought_about(machine, machine.own(File, str(path), "new\n"))
    assert not path.is_symlink()
    assert target.read_text() == "kept\n"


def test_a_file_that_its_check_refuses_is_not_replaced(machine, tmp_path):
    path = tmp_path / "file"
    path.write_text("good\n")
    resource = machine.own(File, str(path), "bad\n", check="grep -q good {}")
    assert machine.apply(machine.plan(resource)).returncode != 0
    assert path.read_text() == "good\n"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "payload"]
    brought_about(machine, machine.own(File, str(path), "good too\n", check="grep -q good {}"))


@pytest.mark.parametrize("mode", [0o755, 0o700, 0o2770])
def test_a_directory_is_made(machine, tmp_path, mode):
    path = tmp_path / "with space"
    resource = machine.own(Directory, str(path), mode=mode)
    brought_about(machine, resource)
    path.chmod(0o711)
    assert brought_about(machine, resource).summary == f"rights of {path}/"


@pytest.mark.parametrize(
    ("within", "whole", "made"),
    [("here", "true", False), ("/", "false", False), ("/", "true", True)],
)
def test_a_directory_is_made_where_all_that_is_mounted_can_be_seen(
    machine, tmp_path, within, whole, made
):
    path = tmp_path / "directory"
    within = str(tmp_path) if within == "here" else within
    change = machine.plan(machine.own(Directory, str(path), within=within, whole=whole))
    # It looks once, and not for its time.
    script = 'await() { sh -c "$3"; }\n' + change.script
    assert (machine.apply(replace(change, script=script)).returncode == 0) is made
    assert path.is_dir() is made


def test_a_link_is_switched(machine, tmp_path):
    path = tmp_path / "current"
    for release in ("one", "two"):
        (tmp_path / release).mkdir()
        brought_about(machine, Link(str(path), release))
        assert os.readlink(path) == release
    assert list((tmp_path / "one").iterdir()) == []


def test_a_run_that_does_not_bring_it_about_has_failed(machine, tmp_path):
    path = tmp_path / "made"
    assert machine.apply(machine.plan(Run("it", ":", unless=f"[ -e {path} ]"))).returncode != 0
    brought_about(machine, Run("it", f"touch {path}", unless=f"[ -e {path} ]"))


def packed(**files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_an_archive_is_unpacked_complete_or_not_at_all(machine, tmp_path):
    path = tmp_path / "with space"
    brought_about(machine, Unpacked(str(path), lambda: packed(a=b"1", b=b"2")))
    assert sorted(file.name for file in path.iterdir()) == ["a", "b"]
    damaged = Unpacked(str(tmp_path / "other"), lambda: packed(a=b"1")[:-9])
    assert machine.apply(machine.plan(damaged)).returncode != 0
    assert [entry.name for entry in tmp_path.iterdir() if "other" in entry.name] == []


def test_a_port_is_for_its_own_units_only():
    port = Port(3000, ("crm.service",), remedy=", or choose another port")
    assert port.plan("", set()) is None
    assert port.plan("812 crm.service gunicorn\n815 crm.service gunicorn\n", set()) is None
    with pytest.raises(Refused) as refusal:
        port.plan("812 crm.service gunicorn\n9 grafana.service grafana server\n", set())
    assert str(refusal.value) == (
        "port 3000 is taken by grafana server (process 9 of grafana.service); "
        "stop that, or choose another port"
    )
    with pytest.raises(Refused, match=r"python3 \(process 9\)"):
        port.plan("9 - python3\n", set())
