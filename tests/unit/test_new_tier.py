"""A tier made up for the test, as one package: everything else finds it by itself."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fabfile.scenario import ROOT

PACKAGE = '''
"""A tier that watches the others."""

from fabfile.tiers.tier import Listener, Tier

TIER = Tier(
    name="monitor",
    title="monitor",
    people_say="a monitor",
    members="the monitor",
    about="Prometheus on port {ports[metrics]}",
    row=5,
    most=1,
    listens=(Listener("page", "the page", port="metrics", default=9090),),
    uses=("app.http", "balancer.statistics"),
)
'''
STATE = '''
"""What the monitor looks like."""

from fabfile.engine.resources import Packages
from fabfile.tiers.tier import View


def desired(scenario, machine):
    return [Packages("prometheus")]


def view(scenario, machine):
    return View(("prometheus.service",), "echo 'targets: 3'")
'''
CHECKS = '''
"""What the monitor promises."""

from fabfile.verify.check import Check


def checks(site):
    return [Check("monitor: it watches", True, "")]
'''
RETIRE = """
retire_monitor() {
  echo "stays: what it measured"
}
"""
MACHINE = '    "watch": {"tier": "monitor", "lan3": "10.1.3.9", "management": "10.250.0.9"},\n'
STEP = '    Step("watch", "monitor", monitor.desired),\n'
IMPORT = "from fabfile.tiers.monitor import state as monitor\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Copy the project, with one package more, a machine of it, and a line in the pipeline."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("fabfile", "templates", "crm", "applications"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    tier = copy / "fabfile/tiers/monitor"
    tier.mkdir()
    for name, text in (("__init__", PACKAGE), ("state", STATE), ("checks", CHECKS)):
        (tier / f"{name}.py").write_text(text)
    (tier / "retire.sh").write_text(RETIRE)
    change(ROOT / "config.py", copy / "config.py", '    "bbdd": {', f'{MACHINE}    "bbdd": {{')
    pipeline = copy / "fabfile/pipeline.py"
    change(pipeline, pipeline, '    Step("proxy"', f'{STEP}    Step("proxy"')
    change(pipeline, pipeline, "\nDesired =", f"{IMPORT}\nDesired =")
    return copy


def change(source: Path, target: Path, before: str, after: str) -> None:
    text = source.read_text()
    assert text.count(before) == 1
    target.write_text(text.replace(before, after))


PROGRAM = """
import json, fabfile
from dataclasses import replace
from fabfile.operations.picture import svg
from fabfile.operations.retiring import script
from fabfile.operations.status import _script
from fabfile.pipeline import packages, stages
from fabfile.scenario import Pinned, ScenarioError, load
from fabfile.scenario.credentials import make_secrets
from fabfile.scenario.flows import FLOWS
from fabfile.tiers.app.state import serving
from fabfile.verify import rooms

one = load()
make_secrets(one.state)
watch, pinned = one.machine("watch"), replace(one, pinned=Pinned("x", "s1"))

def mistakes(path):
    try:
        load(path)
    except ScenarioError as error:
        return str(error)

print(json.dumps({key: str(eval(text)) for key, text in EXPRESSIONS.items()}))
"""
# What it becomes -> where that shows, and what must be there.
SEEN = {
    "validated": ("one.ports['metrics']", "9090"),
    "limited": (
        "mistakes('two.py')",
        "MACHINES has 2 machines of the tier 'monitor', it may have 1 at most",
    ),
    "offered as tasks": ("[*fabfile.namespace.collections]", "'monitor'"),
    "deployed": ("[s.machines for s in stages(one) if s.name == 'watch']", "('watch',)"),
    "in the lab's image": ("packages(one, watch)", "prometheus"),
    "shown": ("_script(one, watch)", "echo service prometheus.service"),
    "drawn": ("svg(one)", "Prometheus on port 9090"),
    "scanned": ("[m.name for m in one.inside]", "'watch'"),
    "checked": ("[room.__name__ for room in rooms()]", "fabfile.tiers.monitor.checks"),
    "let in where it asks": (
        "[each.content for each in serving(pinned, one.machine('s1'))[1:2]]",
        "IPAddressAllow=localhost 10.1.3.1 10.1.3.9 10.1.4.31",
    ),
    "taken off": ("script(one, False).partition('retire_units()')[0]", "retire_monitor()"),
    "taken off before its guard": (
        "[t for t in script(one, False).split(chr(39))[3].split() if t in ('monitor', 'firewall')]",
        "['monitor', 'firewall']",
    ),
    "in the table": ("[f.target for f in FLOWS if f.source == 'monitor']", "['app', 'balancer']"),
}


@pytest.fixture(scope="module")
def found(project):
    """Return what the copy says to each expression; one start of Python for all of them."""
    config = (project / "config.py").read_text()
    second = MACHINE.replace("watch", "look").replace(".9", ".8")
    (project / "two.py").write_text(config.replace(MACHINE, MACHINE + second))
    expressions = {what: text for what, (text, _) in SEEN.items()}
    program = f"EXPRESSIONS = {expressions!r}\n{PROGRAM}"
    # Nothing that the person has exported.
    environment = {"PATH": os.environ["PATH"], "HOME": str(project)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("what", SEEN)
def test_a_new_tier_is(found, what):
    assert SEEN[what][1] in found[what]
