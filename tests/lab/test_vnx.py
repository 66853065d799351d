"""A scenario of VNX: the lab starts its very topology, and it is deployed and verified.

In a lab of its own beside that of the other tests, which may or may not be there.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from fabfile.scenario import Scenario, load
from tests.lab import places
from tests.lab.commands import Done, run
from tests.lab.lab import BIN, start

pytestmark = pytest.mark.only_looks

NAME = f"vnx-tests-{places.NUMBER}"
SAMPLE = places.ROOT / "tests/vnx/practice.xml"
MOVED = {
    "Three_Tiers": NAME,
    "10.1.": places.lans("vnx"),
    "10.250.0.": f"10.252.{places.NUMBER}.",
}


@dataclass(frozen=True)
class Practice:
    """The scenario that was imported, used as a person does."""

    config: Path

    @property
    def scenario(self) -> Scenario:
        """What the config file says."""
        return load(self.config)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of who uses it."""
        own = {name: text for name, text in os.environ.items() if not name.startswith("CRM_")}
        return {**own, "CRM_CONFIG": str(self.config), "COLUMNS": "200"}

    def invoke(self, *words: str, code: int = 0) -> Done:
        """Run a task on it."""
        return run(BIN / "invoke", *words, limit=300, code=code, environment=self.environment)

    def do(self, name: str, command: str) -> str:
        """Run a command on a machine; answer its output."""
        return self.invoke("lab.ssh", name, "--command", command).out


@pytest.fixture(scope="module")
def practice(tmp_path_factory):
    """Import practice.xml, moved to ranges of its own, and start its machines."""
    text = SAMPLE.read_text()
    for old, new in MOVED.items():
        assert old in text
        text = text.replace(old, new)
    xml = tmp_path_factory.mktemp("vnx") / "practice.xml"
    xml.write_text(text)
    practice = Practice(xml.with_suffix(".py"))
    practice.invoke("scenario.import", str(xml))
    # Another lab of VNX's may be on this computer.
    config = practice.config.read_text()
    assert '"vnx-"' in config
    practice.config.write_text(config.replace('"vnx-"', f'"v{places.NUMBER}-"'))
    own = places.read(places.ROOT / "config.py")["LAB"]["directory"]
    labs = [places.directory(places.NUMBER), places.directory(places.FIRST), own]
    shared = [Path(lab) / "images" for lab in labs]
    try:
        start(practice.environment, next((d for d in shared if d.is_dir()), shared[0]))
        yield practice
    finally:
        practice.invoke("lab.down", "--images")
        shutil.rmtree(places.ROOT / ".state" / NAME, ignore_errors=True)


def test_each_machine_has_the_interfaces_of_its_file(practice):
    for machine in practice.scenario.machines:
        if machine.login:
            links = json.loads(practice.do(machine.name, "ip -json -4 address show"))
            seen = {
                link["ifname"]: link["addr_info"][0]["local"]
                for link in links
                if link["ifname"] != "lo"
            }
            wanted = {machine.interface(n): str(ip) for n, ip in machine.addresses.items()}
            assert seen == wanted
    fw = practice.scenario.machine("fw").addresses
    assert sorted(fw) == ["lan1", "lan2", "management"]


def test_root_logs_in_by_key_packages_come_by_management_and_nothing_was_run(practice):
    seen = practice.do("s1", "whoami; ip -4 route show default; ls /was-run || echo no")
    user, route, run_or_not = seen.split("\n")[:3]
    assert user == "root"
    assert "dev eth0" in route
    assert run_or_not == "no"


def test_it_is_deployed_and_verified_and_then_there_is_nothing_to_do(practice):
    practice.invoke("deploy")
    verified = practice.invoke("verify").out
    assert "false" not in verified
    assert "0 changes: 7 machines are as they should be" in practice.invoke("deploy").out
