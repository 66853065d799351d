"""Fixtures of the unit tests: a scenario to spoil, and a shell that stands in for a machine."""

import copy
import functools
import getpass
import grp
import importlib.util
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fabfile.engine.change import Change
from fabfile.engine.survey import surveyed
from fabfile.operations import certificates
from fabfile.scenario import Scenario, ScenarioError, authority, load
from fabfile.scenario.credentials import make_secrets
from fabfile.scenario.inventory import Inventory
from fabfile.scenario.validation import scenario_from
from fabfile.tiers import templates

ROOT = Path(__file__).resolve().parents[2]
# All that a test gets of the environment of who runs it.
ENVIRONMENT = ("PATH", "TMPDIR", "PYTEST_CURRENT_TEST")
# The certificates that were issued so far.
ISSUED: dict[str, authority.Certificate] = {}


@pytest.fixture(autouse=True)
def stranger(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hide what the person has: variables, home and its settings, compiled templates."""
    for name in os.environ.keys() - {*ENVIRONMENT}:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    # One for all: they are compiled once.
    monkeypatch.setattr(templates, "COMPILED", tmp_path_factory.getbasetemp() / "templates")


def issue(scenario: Scenario) -> None:
    """Give the machines certificates: those of earlier tests, as far as they are the same."""
    machines = [machine.name for machine in scenario.certified]
    known = {name: ISSUED[name] for name in (authority.AUTHORITY, *machines) if name in ISSUED}
    authority.write(scenario.state, known)
    certificates.make(scenario)
    ISSUED.update(authority.read(scenario.state))


@functools.cache
def _entries() -> dict:
    spec = importlib.util.spec_from_file_location("crm_config_of_tests", ROOT / "config.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: value for name, value in vars(module).items() if name.isupper()}


@pytest.fixture
def entries() -> dict:
    """Return the entries of config.py, to change at will."""
    return copy.deepcopy(_entries())


@pytest.fixture
def states(tmp_path: Path) -> Path:
    """Return a directory of states, in the place of the one with the person's passwords."""
    return tmp_path / "states"


@pytest.fixture
def read(entries: dict, states: Path) -> Callable[[], Scenario]:
    """Give a function that answers the scenario of the entries."""
    return lambda: replace(scenario_from(entries, ROOT / "config.py"), states=states)


@pytest.fixture
def scenario(states: Path) -> Scenario:
    """Return the scenario of config.py, with secrets of its own."""
    scenario = load(ROOT / "config.py", Inventory(), states)
    make_secrets(scenario.state)
    issue(scenario)
    return scenario


@pytest.fixture
def mistakes(read: Callable[[], Scenario]) -> Callable[[], list[str]]:
    """Give a function that answers every mistake of the entries."""

    def mistakes() -> list[str]:
        with pytest.raises(ScenarioError) as caught:
            read()
        assert all(sentence in str(caught.value) for sentence in caught.value.mistakes)
        return caught.value.mistakes

    return mistakes


class Machine:
    """This computer, in the place of a machine: it runs what a resource prints with `sh`."""

    user = getpass.getuser()
    group = grp.getgrgid(os.getgid()).gr_name

    def __init__(self, payload: Path) -> None:
        self.payload = payload
        payload.mkdir()

    def facts(self, resource: object) -> str:
        """Return what the resource's probe prints."""
        return self.facts_of([resource])[0]

    def facts_of(self, resources: list) -> list[str]:
        """Return what the probe of each resource prints, after the surveys of all of them."""
        surveys = surveyed(resources)
        return [self._sh(f"{surveys}\n{each.probe()}").stdout for each in resources]

    def own(self, kind: type, *arguments: object, **options: object) -> object:
        """Return a resource that belongs to who runs the tests."""
        return kind(*arguments, owner=self.user, group=self.group, **options)

    def plan(self, resource: object) -> Change | None:
        """Return what the resource would change here."""
        return resource.plan(self.facts(resource), set())

    def apply(self, change: Change) -> subprocess.CompletedProcess:
        """Run the change, stopping at the first command that fails."""
        for name, content in change.files.items():
            data = content() if callable(content) else content
            (self.payload / name).write_bytes(data)
        return self._sh("set -e\n" + change.script)

    def _sh(self, script: str) -> subprocess.CompletedProcess:
        environment = {**os.environ, "payload": str(self.payload), "LC_ALL": "C"}
        return subprocess.run(
            ["sh"], input=script, text=True, env=environment, capture_output=True, timeout=30
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return this computer as a machine; its payload is in a directory of its own."""
    return Machine(tmp_path / "payload")
