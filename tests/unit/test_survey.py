"""That a program asked once for many resources tells each of them what is theirs."""

import subprocess

import pytest

from fabfile.engine.resources import File, Run, Service
from fabfile.engine.survey import LIBRARY, Survey, surveyed

UNITS = """MainPID=12
Id=a.service
ActiveState=active

Id=a.mount
ActiveState=inactive

MainPID=0
Id=b.service
LoadState=not-found
"""


def sh(script):
    return subprocess.run(["sh", "-eu"], input=script, text=True, capture_output=True, timeout=20)


@pytest.mark.parametrize(
    ("unit", "block"),
    [
        ("a.service", "MainPID=12\nId=a.service\nActiveState=active\n"),
        ("a.mount", "Id=a.mount\nActiveState=inactive\n"),
        ("b.service", "MainPID=0\nId=b.service\nLoadState=not-found\n"),
        ("service", ""),
        ("c.service", ""),
    ],
)
def test_a_unit_finds_its_block_and_no_other(unit, block):
    done = sh(f"{LIBRARY}\nunits='{UNITS}'\nblock_of \"$units\" Id={unit}\n")
    assert (done.stdout, done.returncode) == (block, 0)


@pytest.mark.parametrize(("line", "code"), [("one", 0), ("two words", 0), ("two", 1), ("", 1)])
def test_a_line_is_found_whole(line, code):
    done = sh(f"{LIBRARY}\nhas_line \"$(printf 'one\\ntwo words\\n')\" '{line}'")
    assert done.returncode == code


def test_each_program_is_started_once_for_all():
    resources = [File("/etc/a", "1"), File("/etc/b", "2"), Service("a.service")]
    script = surveyed([*resources, File("/etc/a", "1")])
    assert script.count("sha256sum -- /etc/a /etc/b") == 1
    assert script.count("systemctl show") == 1
    assert "Survey" not in script


def test_one_that_fails_leaves_the_others_their_answers(machine, tmp_path):
    there, missing = tmp_path / "there", tmp_path / "missing"
    there.write_text("content\n")
    files = [machine.own(File, str(path), "content\n") for path in (missing, there)]
    there.chmod(0o644)
    facts = machine.facts_of(files)
    assert files[0].plan(facts[0], set()).summary == f"create {missing}"
    assert files[1].plan(facts[1], set()) is None


def test_what_a_survey_tells_is_not_asked_again(machine, tmp_path):
    survey = Survey("told", "echo other; echo 'this one'")
    done = Run("it", ":", unless="false", told=(survey, "this one"))
    assert machine.plan(done) is None
    assert machine.plan(Run("it", ":", unless="true", told=(survey, "another"))) is not None
