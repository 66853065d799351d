"""Scenarios of other shapes, on machines of plain Debian: without a firewall, one machine, growing.

They are in a lab of their own, beside the one of the other tests.
"""

import sys
from pathlib import Path

import pytest

from tests.lab import places
from tests.lab.commands import run, wait_for
from tests.lab.lab import BIN

NAME = f"{places.NAME}-shapes"
ADDRESSES = {"solo": 11, "nas1": 21, "nas2": 22, "nas3": 23}
RANGE, MANAGEMENT = f"10.{places.NUMBER + 100}.4.", f"10.251.{places.NUMBER + 100}."
TABLE = "inet crm_host"
# A table of somebody else's.
FOREIGN = "nft add table inet other; nft add chain inet other mine"


class Shapes:
    """The machines of the lab, and scenarios that have them as rented ones: with one address."""

    def __init__(self, lab, directory):
        """Write the scenario that starts the machines."""
        self.lab, self.directory = lab, directory
        self.state = places.ROOT / ".state" / NAME
        self.entries = lab.entries
        self.entries["NAME"] = NAME
        self.entries["LOGIN"] = {
            "user": "deploy",
            "key": f".state/{NAME}/id_ed25519",
            "known_hosts": f".state/{NAME}/known_hosts",
        }
        place = f"{places.directory(places.NUMBER)}-shapes"
        self.entries["LAB"] |= {"directory": place, "bridge_prefix": f"u{places.NUMBER}-"}
        self.entries["NETWORKS"] = {"private": f"{RANGE}0/24", "management": f"{MANAGEMENT}0/24"}
        self.entries["MACHINES"] = {
            "control": {"tier": "control", "private": f"{RANGE}2", "management": f"{MANAGEMENT}1"},
            **{
                name: {
                    "tiers": self.tiers(name),
                    "private": f"{RANGE}{number}",
                    "management": f"{MANAGEMENT}{number}",
                }
                for name, number in ADDRESSES.items()
            },
        }
        self.config = places.write(self.entries, directory / "lab.py")

    @staticmethod
    def tiers(name):
        """Return what a machine is there for."""
        return ["balancer", "app", "database"] if name == "solo" else ["storage"]

    def scenario(self, network, names):
        """Write the scenario of some machines that have one address each, on that network."""
        ranges = {"private": f"{RANGE}0/24", "public": "0.0.0.0/0"}
        machines = {
            name: {
                "tiers": self.tiers(name),
                network: f"{RANGE}{ADDRESSES[name]}",
                "ssh": f"deploy@{MANAGEMENT}{ADDRESSES[name]}:22",
            }
            for name in names
        }
        entries = {**self.entries, "NETWORKS": {network: ranges[network]}, "MACHINES": machines}
        return places.write(entries, self.directory / f"{network}-{len(names)}.py")

    def do(self, name, script):
        """Run a script on a machine as root; answer its output."""
        known = ("-o", f"UserKnownHostsFile={self.state / 'known_hosts'}")
        login = f"deploy@{MANAGEMENT}{ADDRESSES[name]}"
        ssh = ("ssh", "-i", self.state / "id_ed25519", *known, login, "sudo -n sh -eu")
        return run(*ssh, stdin=script).out

    def task(self, program, *words, config, code=0):
        """Run fab or invoke on a scenario; answer what it printed."""
        environment = self.lab.environment(config)
        return run(BIN / program, *words, environment=environment, code=code, limit=400).text

    def up(self):
        """Start the machines, of the images that the other tests have."""
        images = Path(places.directory(places.NUMBER)) / "images"
        program = (
            "from pathlib import Path; from fabfile.lab import commands; "
            "from fabfile.scenario import load; "
            f"commands.up(load(), bare=True, images_from=Path({str(images)!r}))"
        )
        environment = self.lab.environment(self.config)
        run(sys.executable, "-c", program, limit=400, environment=environment)

    def down(self):
        """Take the machines away, also those of a run that was killed."""
        self.task("invoke", "lab.down", "--images", config=self.config)
        for rest in self.state.glob("*.json"):
            rest.unlink()


@pytest.fixture(scope="module")
def shapes(lab, tmp_path_factory):
    """Give four machines of plain Debian."""
    made = Shapes(lab, tmp_path_factory.mktemp("shapes"))
    made.down()
    made.up()
    yield made
    made.down()


@pytest.fixture(scope="module")
def alone(shapes):
    """Give the scenario of one machine that has all tiers, deployed."""
    config = shapes.scenario("public", ["solo"])
    shapes.do("solo", "apt-get -qq update && apt-get -qq install nftables >/dev/null")
    shapes.do("solo", FOREIGN)
    shapes.task("fab", "deploy", config=config)
    return config


@pytest.fixture(scope="module")
def grown(shapes, alone):
    """Give the scenario of that machine and three storage servers, deployed."""
    shapes.do("solo", "runuser -u crm -- sh -c 'echo old >/srv/crm/uploads/old.txt'")
    config = shapes.scenario("public", [*ADDRESSES])
    shapes.task("fab", "deploy", config=config)
    return config


def test_one_machine_is_deployed_and_true(shapes, alone):
    assert "0 changes: 1 machines" in shapes.task("fab", "deploy", config=alone)
    said = shapes.task("invoke", "verify", config=alone)
    assert "checks are true, 1 with a warning" in said, said
    assert "warns  storage: uploads survive the loss of a machine (no: they are on solo" in said
    assert "rules: loaded" in shapes.task("invoke", "status", config=alone)


def test_the_rules_of_others_stay(shapes, alone):
    assert "chain mine" in shapes.do("solo", "nft list table inet other")


def test_uploads_are_brought_onto_the_volume_that_comes(shapes, grown):
    assert "0 changes: 4 machines" in shapes.task("fab", "deploy", config=grown)
    assert shapes.do("solo", "cat /mnt/nas/crm/old.txt; ls /srv/crm/uploads") == "old\n"


def test_public_addresses_only_is_true_with_a_warning(shapes, grown):
    said = shapes.task("invoke", "verify", config=grown)
    assert "nobody can read what the machines say" in said
    assert "checks are true, 1 with a warning" in said, said


def test_the_volume_is_not_given_up_by_forgetting_it(shapes, alone, grown):
    said = shapes.task("fab", "deploy", config=alone, code=1)
    assert (
        "solo: its uploads are on the volume at /mnt/nas" in said and "Nothing was changed" in said
    )


def test_a_private_network_is_true_without_a_warning(shapes, grown):
    private = shapes.scenario("private", [*ADDRESSES])
    shapes.task("fab", "deploy", config=private)
    assert "0 changes: 4 machines" in shapes.task("fab", "deploy", config=private)
    said = shapes.task("invoke", "verify", config=private)
    assert "checks are true (" in said and "warns" not in said, said


def test_a_door_that_somebody_opens_is_false_and_closed_again(shapes, grown):
    private = shapes.scenario("private", [*ADDRESSES])
    shapes.do("solo", f"nft insert rule {TABLE} input tcp dport 3000 accept")
    said = shapes.task("invoke", "verify", config=private, code=1)
    assert "FALSE  perimeter: between the machines nothing else is open" in said
    assert "app.http from storage" in said
    assert "load what the machine lets in" in shapes.task("fab", "deploy", config=private)
    assert "0 changes" in shapes.task("fab", "deploy", config=private)


def test_rules_that_are_flushed_come_back_by_themselves(shapes, grown):
    shapes.do("nas1", "nft flush ruleset")
    loaded = "/usr/local/lib/crm-deployer/host-rules status"
    wait_for("the rules to come back", lambda: "loaded" in shapes.do("nas1", loaded), 10)


def test_rules_that_lock_us_out_undo_themselves(shapes, grown):
    rules, program = "/etc/crm-deployer/host.nft", "/usr/local/lib/crm-deployer/host-rules"
    look = f"grep 'tcp dport 22 accept' {rules}"
    open_ = shapes.do("nas1", look)
    shapes.do("nas1", f"sed -i '/tcp dport 22 accept/d' {rules} && {program} try")
    # Nobody can look until a new connection is let in.
    wait_for("the rules from before", lambda: shapes.do("nas1", look) == open_, 40)
    assert "loaded" in shapes.do("nas1", f"{program} status")
