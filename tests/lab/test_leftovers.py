"""lab.down takes all of the lab away, also what a lab.up that was killed has left."""

import re
from pathlib import Path

import pytest

from tests.lab import places
from tests.lab.commands import as_root, run
from tests.lab.lab import bridges, rules
from tests.lab.stopped import stopped

pytestmark = pytest.mark.takes_the_lab_away


@pytest.fixture(scope="module", autouse=True)
def given_back(lab):
    """Leave prepared machines to the others."""
    yield
    lab.invoke("lab.up", "--prepared")
    lab.fab("deploy")


def processes(lab):
    """Return the processes of this computer that run on a disk of the lab."""
    pattern = rf"upperdir={re.escape(str(lab.scenario.lab.directory))}/"
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            text = (path / "mountinfo").read_text()
        except OSError:
            continue  # it has ended
        if re.search(rf" / / .*{pattern}", text):
            found.append(path.name)
    return found


def assert_nothing_left(lab):
    """Nothing of the lab is on this computer but its images."""
    assert bridges() == []
    assert rules() == []
    assert places.LANS not in run("ip", "-4", "address").out + run("ip", "route").out
    assert processes(lab) == []
    mounts = Path("/proc/mounts").read_text()
    assert str(lab.scenario.lab.directory) + "/" not in mounts
    directory = as_root("find", lab.scenario.lab.directory, "-mindepth", "1", "-maxdepth", "2").out
    assert [line for line in directory.split() if "/machines/" in line or "/.new-" in line] == []
    assert "/images/base-" in directory


def test_there_is_something_to_take_away(lab):
    assert len(bridges()) == len(lab.scenario.networks)
    assert rules()
    assert len(processes(lab)) > len(lab.names)


def test_down_leaves_nothing_but_the_images(lab):
    done = lab.invoke("lab.down")
    assert f"{len(lab.names)} machines removed" in done.out
    assert_nothing_left(lab)


def test_a_second_down_has_nothing_to_do(lab):
    assert "nothing to do" in lab.invoke("lab.down").out


def up_until(lab, step):
    """Bring up bare machines until that step, and kill the command."""
    with stopped(lab, "invoke", "lab.up", "--bare", at=step) as command:
        command.cut()


def test_down_after_a_killed_up_leaves_nothing(lab):
    up_until(lab, "start fw")
    assert bridges()
    lab.invoke("lab.down")
    assert_nothing_left(lab)


def test_an_up_that_is_killed_is_finished_by_the_next(lab):
    for step in ("create nas3", "start nas3", "nas3 answers SSH"):
        up_until(lab, step)
    lab.invoke("lab.up")
    rows = [line.split() for line in lab.invoke("lab.status").out.splitlines()[1:]]
    assert [row[0] for row in rows] == lab.names
    assert {tuple(row[3:]) for row in rows} == {("running", "bare", "answers")}
    assert "nothing to do" in lab.invoke("lab.up").out
    assert places.STATE.joinpath("known_hosts").read_text().count("ssh-ed25519") >= len(rows)
