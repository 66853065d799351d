"""The scenario that the lab tests run: config.py's, moved to ranges and a directory of its own.

So a person's own lab on the same computer is left alone, and so are machines that config.py may
name elsewhere: every machine of the tests is a container in MANAGEMENT.
"""

import importlib.util
import os
import pprint
import shutil
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from fabfile.scenario.debian import DEFAULT

# The release of Debian that the machines run.
VERSION = DEFAULT.postgresql
ROOT = Path(__file__).resolve().parents[2]
# With another number, a second clone tests beside the first on one computer. Of workers that share
# the tests (pytest-xdist), each has a lab of its own.
USUAL = 91
FIRST = int(os.environ.get("CRM_TEST_LAB") or USUAL)
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
NUMBER = FIRST + WORKER


def name(number: int) -> str:
    """Return the name of the lab of that number."""
    return "lab-tests" if number == USUAL else f"lab-tests-{number}"


NAME = name(NUMBER)
STATE = ROOT / ".state" / NAME
CONFIG = STATE / "config.py"
# A copy, so that a test can change the application.
APPLICATION = STATE / "application"
PREFIX = f"t{NUMBER}-"
# What is added to the number for the second byte of addresses, so that nothing that a killed run
# left is in the way of what is not the same.
RANGES = {"own": 0, "vnx": 50, "apart": 100, "refused": 150}
MANAGEMENT = f"10.251.{NUMBER}."


def lans(use: str) -> str:
    """Return what the addresses begin with that machines have for one of the RANGES."""
    return f"10.{NUMBER + RANGES[use]}."


LANS = lans("own")


def directory(number: int) -> str:
    """Return where the lab of that number keeps its machines and images."""
    return f"/var/lib/crm-{name(number)}"


def write_scenario() -> dict:
    """Write the scenario of the tests to CONFIG, and answer its entries."""
    entries = relocated(read(ROOT / "config.py"))
    # Alone, whatever CRM_APP says: the tests of other applications bring their own.
    entries["APPLICATION"] = {"name": "crm", **entries.pop("APPLICATIONS")["crm"]}
    source = ROOT / entries["APPLICATION"]["source"]
    shutil.rmtree(APPLICATION, ignore_errors=True)
    shutil.copytree(source, APPLICATION, ignore=shutil.ignore_patterns("__pycache__"))
    entries["APPLICATION"]["source"] = str(APPLICATION)
    write(entries, CONFIG)
    return entries


def read(path: Path) -> dict:
    """Return the entries of a scenario's file."""
    spec = importlib.util.spec_from_file_location("crm_config_to_move", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: value for name, value in vars(module).items() if name.isupper()}


def write(entries: dict, path: Path) -> Path:
    """Write a scenario's file, and answer its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        f"{name} = {pprint.pformat(value, sort_dicts=False)}" for name, value in entries.items()
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@dataclass(frozen=True)
class Place:
    """Where a lab of the tests is: what its ranges begin with, its directory and bridges."""

    name: str
    lans: str
    management: str
    directory: str
    prefix: str

    @property
    def state(self) -> Path:
        """Where its keys and passwords are."""
        return ROOT / ".state" / self.name


OWN = Place(NAME, LANS, MANAGEMENT, directory(NUMBER), PREFIX)


def apart() -> Place:
    """Return the place beside it, for a lab of other machines: one at a time is there."""
    return Place(
        f"{NAME}-apart",
        lans("apart"),
        f"10.251.{NUMBER + 100}.",
        f"{directory(NUMBER)}-apart",
        f"u{NUMBER}-",
    )


def relocated(entries: dict, place: Place = OWN) -> dict:
    """Return the entries with each network in the ranges of the tests, and all machines there."""
    old = {name: IPv4Network(text) for name, text in entries["NETWORKS"].items()}
    new = {
        name: IPv4Network(
            f"{place.management if name == 'management' else f'{place.lans}{number}.'}0/24"
        )
        for number, name in enumerate(old, 1)
    }

    def moved(text: str) -> str:
        address = IPv4Address(text)
        for name, network in old.items():
            if address in network:
                return str(new[name][int(address) - int(network.network_address)])
        raise ValueError(f"{text} is in no network of config.py")

    def machine(entry: dict) -> dict:
        answer = {key: moved(entry[key]) for key in old if key in entry}
        if routes := entry.get("routes"):
            ranges = {str(network): str(new[name]) for name, network in old.items()}
            answer["routes"] = {
                ranges.get(to, f"{place.lans}0.0/16"): moved(via) for to, via in routes.items()
            }
        return {"tier": entry["tier"], **answer}

    floating = {
        tier: {network: moved(address) for network, address in shared.items()}
        for tier, shared in entries.get("FLOATING", {}).items()
    }
    return {
        **entries,
        **({"FLOATING": floating} if floating else {}),
        "NAME": place.name,
        "NETWORKS": {name: str(network) for name, network in new.items()},
        "MACHINES": {name: machine(entry) for name, entry in entries["MACHINES"].items()},
        "LOGIN": {
            "user": "deploy",
            "key": f".state/{place.name}/id_ed25519",
            "known_hosts": f".state/{place.name}/known_hosts",
        },
        "LAB": {
            **entries["LAB"],
            "directory": place.directory,
            "bridge_prefix": place.prefix,
        },
    }
