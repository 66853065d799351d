"""The examples that take their machines from other tools are scenarios that could be deployed."""

import pytest

from fabfile.scenario import ROOT, load
from fabfile.scenario.inventory import Inventory

EXAMPLES = ROOT / "examples"
OF_TOOLS = ("from_json", "from_terraform", "from_ansible")


@pytest.mark.parametrize("name", OF_TOOLS)
def test_machines_of_another_tool_are_a_scenario(name):
    scenario = load(EXAMPLES / f"{name}.py", Inventory())
    assert scenario.url == "http://10.20.2.2/"
    assert [each.name for each in scenario.tier("app")] == ["s1", "s2", "s3"]
    login = scenario.machine("s1").ssh
    assert (login.user, login.host, login.port) == ("admin", "10.20.0.11", 22)
    assert scenario.machine("fw").interface("lan1") == "ens7"
    assert scenario.state.name == scenario.name == name.replace("_", "-")


def test_a_scenario_that_changes_some_lines_of_another():
    scenario, other = (
        load(ROOT / name, Inventory()) for name in ("examples/four_servers.py", "config.py")
    )
    assert len(scenario.tier("app")) == len(other.tier("app")) + 1
    assert scenario.name != other.name
    assert scenario.lab.directory != other.lab.directory
    assert scenario.application == other.application
