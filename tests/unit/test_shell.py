"""The shell scripts that machines get are without fault in shellcheck's eyes, as they get them.

bin/test has it look at those that are files as they are.
"""

import subprocess
from dataclasses import replace

import pytest

from fabfile import pipeline
from fabfile.engine.resources import File
from fabfile.scenario import ROOT, load
from fabfile.scenario.credentials import make_secrets
from fabfile.scenario.inventory import Inventory
from tests.unit.conftest import issue

PROGRAMS = {
    *(
        "pgbackrest-wal",
        "watch-brick",
        "watch-mount",
        "database-works",
        "haproxy-works",
        "name-interfaces",
    ),
    *("fw-connections", "fw-works"),
}
SHELLS = ("#!/bin/sh", "#!/bin/bash")


@pytest.fixture
def scripts(scenario) -> dict[str, str]:
    """Return path -> text of every program for a shell that a machine gets.

    With the firewall of config.py, with rules of each machine's own in its place, and with pairs.
    """
    without = tuple(each for each in scenario.machines if "firewall" not in each.tiers)
    pairs = load(ROOT / "examples" / "pairs.py", Inventory(), scenario.states)
    make_secrets(pairs.state)
    issue(pairs)
    alone = {**_scripts(scenario), **_scripts(replace(scenario, machines=without))}
    return {**alone, **_scripts(pairs)}


def _scripts(scenario) -> dict[str, str]:
    steps = [step for step in pipeline.PIPELINE if not step.needs_source and step.name != "ship"]
    found = [
        resource
        for step in steps
        for machine in pipeline.machines(scenario, step)
        for resource in step.desired(scenario, machine)
    ]
    files = [each for each in found if isinstance(each, File)]
    return {file.path: file.content for file in files if file.content.startswith(SHELLS)}


def test_no_script_for_a_machine_has_a_fault(scripts):
    names = {path.rpartition("/")[2] for path in scripts}
    assert names == {"database-scratch", "fw.fw", "host-rules", *PROGRAMS}
    for path, text in scripts.items():
        # Of severity "style" and above: all that it knows.
        command = ["shellcheck", "--color=never", "-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{path}\n{done.stdout}{done.stderr}"
