"""Machines that are anywhere: given as SSH targets only, deployed by a person without root or lab.

The checkout is copied for a user that this computer does not know, who can run no program of the
lab. What that user deploys is the same machines, which know nothing of being containers.
"""

import os
import shutil
import sys

import pytest

from tests.lab import places
from tests.lab.commands import as_root, run

USER = 42424


@pytest.fixture(scope="module")
def place(lab):
    """Give the directory of a copy of this checkout, with its environment, for that user."""
    # Not below the temporary directory, which is for its owner only.
    place = lab.scenario.lab.directory / "elsewhere"
    as_root("rm", "-rf", place)
    as_root("install", "-d", "-o", str(os.getuid()), place)
    checkout = place / "checkout"
    parts = {name: places.ROOT / name for name in ("fabfile", "templates")}
    # The application as the machines have it: tests before these have changed it.
    for name, source in {**parts, "crm": places.APPLICATION}.items():
        ignore = shutil.ignore_patterns("__pycache__", ".pytest_cache")
        shutil.copytree(source, checkout / name, ignore=ignore)
    shutil.copy(places.ROOT / "tasks.py", checkout)
    shutil.copytree(sys.prefix, place / "venv", symlinks=True)
    (place / "home").mkdir()
    yield place
    as_root("rm", "-rf", place)


@pytest.fixture(scope="module")
def person(repaired, place):
    """Give a function that runs a task as that user, who has keys, passwords and authority."""
    entries = repaired.entries
    del entries["NETWORKS"]["management"], entries["MACHINES"]["control"]
    for machine in entries["MACHINES"].values():
        machine["ssh"] = f"deploy@{machine.pop('management')}:22"
    entries["APPLICATION"]["source"] = "crm"
    entries["LAB"]["directory"] = str(place / "nowhere" / "lab")
    state = place / "checkout" / ".state" / places.NAME
    state.mkdir(parents=True)
    keys = ("id_ed25519", "id_ed25519.pub", "known_hosts")
    for name in (*keys, "secrets.json", "authority.json"):
        shutil.copy(places.STATE / name, state)
    places.write(entries, place / "checkout" / "config.py")
    as_root("chown", "-R", f"{USER}:{USER}", place / "checkout", place / "home")
    # Nothing of the person who runs the tests: an empty PATH, another home, no CRM_CONFIG.
    who = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    who += ["env", "-i", f"HOME={place / 'home'}", "PATH=/nowhere", "LOGNAME=person"]
    who += ["LANG=C.UTF-8", "COLUMNS=200"]
    python = place / "venv" / "bin" / "python"

    def run_task(*words, code=0):
        return as_root(
            *who,
            python,
            "-m",
            "fabric",
            *words,
            code=code,
            limit=120,
            directory=place / "checkout",
        )

    return run_task


def test_the_lab_is_out_of_reach(person, place):
    for task in ("lab.up", "lab.status", "lab.down"):
        done = person(task, code=1)
        assert "The program sudo is missing" in done.text, done.text
        assert "Traceback" not in done.text
    assert not (place / "nowhere").exists()


def test_plan_shows_what_is_different_there(repaired, person):
    # There is no management address for the statistics, and no management network to fend off.
    done = person("plan", code=2)
    assert "statistics" not in repaired.fab("plan").out
    assert "+    bind 127.0.0.1:8404" in done.out


def test_deploy_brings_the_machines_to_that_state(repaired, person, place):
    repaired.do("s2", "systemctl stop crm; rm -r /srv/crm/releases")
    repaired.do("s1", "rm /etc/crm-deployer/crm.env")
    repaired.do("bbdd", "sed -i '/scram/d' /etc/postgresql/*/main/pg_hba.conf")
    done = person("deploy")
    for name in ("s1", "s2", "bbdd", "lb"):
        assert f"\n{name} " in f"\n{done.out}", done.text
    assert "0 changes: 9 machines are as they should be" in person("deploy").out
    assert "0 changes" in person("plan").out
    repaired.await_answer()
    assert not (place / "nowhere").exists()


def test_status_works_there(person):
    text = person("status").out
    assert "haproxy" in text
    assert "s3: UP" in text


def test_what_deploy_writes_there_is_the_users_own(place):
    mine = run("find", place / "checkout", place / "home", "!", "-user", str(USER)).out
    assert mine == ""


def test_the_same_machines_go_back_to_the_scenario_of_the_lab(repaired):
    assert {name for name, _ in repaired.planned()} <= {"lb", "fw"}
    repaired.fab("deploy")
    repaired.assert_nothing_to_do()
