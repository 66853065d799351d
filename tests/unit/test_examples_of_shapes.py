"""The examples of other shapes are scenarios that could be deployed."""

import pytest

from fabfile.scenario import ROOT, load
from fabfile.scenario.inventory import Inventory

EXAMPLES = ("one_machine", "four_machines", "cloud")


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_shape_is_a_scenario(name):
    scenario = load(ROOT / "examples" / f"{name}.py", Inventory())
    assert scenario.url == "http://198.51.100.7/"
    assert {each.name for each in scenario.guarded} == {each.name for each in scenario.machines}
    assert scenario.machine("web").ssh.host == "198.51.100.7"
    assert scenario.name == name.replace("_", "-")


def test_machines_ask_each_other_on_the_private_network():
    scenario = load(ROOT / "examples" / "four_machines.py", Inventory())
    assert scenario.database_address == "10.0.0.2"
    assert scenario.addresses("storage", "app") == ("10.0.0.3", "10.0.0.4", "10.0.0.5")
