"""Which servers may be added and removed, and which release is gone back to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from invoke.exceptions import Exit

from fabfile import pipeline
from fabfile.lab import machines as containers
from fabfile.operations import membership, rollback, scaling
from fabfile.operations.releases import Held
from fabfile.scenario import Pinned, Scenario
from fabfile.scenario.inventory import Inventory

LAN = {"lan3": "10.1.3.14", "lan4": "10.1.4.14"}


@pytest.fixture
def scenario(scenario, monkeypatch) -> Scenario:
    monkeypatch.setattr(containers, "there", lambda lab: set())
    return scenario


def refusal(function, *arguments) -> str:
    with pytest.raises(Exit) as caught:
        function(*arguments)
    assert caught.value.code == 1
    return str(caught.value)


def with_s4(scenario: Scenario, host: str = "", **given: str) -> Scenario:
    return membership.with_servers(scenario, ["s4"], host, given)


def test_a_machine_of_the_lab_gets_a_management_address_too(scenario) -> None:
    assert with_s4(scenario).inventory.added == {
        "s4": {"tier": "app", **LAN, "management": "10.250.0.14"}
    }


def test_a_machine_elsewhere_gets_none(scenario) -> None:
    grown = with_s4(scenario, "root@198.51.100.7:2222")
    assert grown.inventory.added["s4"] == {"tier": "app", **LAN, "ssh": "root@198.51.100.7:2222"}
    login = grown.machine("s4").login
    assert (login.host, login.user, login.port) == ("198.51.100.7", "root", 2222)


def test_without_a_lab_a_host_must_be_named(scenario, monkeypatch) -> None:
    monkeypatch.setattr(containers, "there", lambda lab: None)
    assert "--host user@address" in refusal(with_s4, scenario)


def test_a_server_of_config_py_comes_back_as_it_stands_there(scenario) -> None:
    without = membership.without_servers(scenario, ["s2"])
    again = membership.with_servers(without, ["s2"], "", {})
    assert again.inventory == Inventory() and again.machine("s2") == scenario.machine("s2")
    given = {"lan3": "10.1.3.99"}
    assert "stands in config.py" in refusal(membership.with_servers, without, ["s2"], "", given)


def test_the_address_of_a_removed_server_is_not_given_away(scenario) -> None:
    without = membership.without_servers(scenario, ["s2"])
    words = refusal(membership.with_servers, without, ["s4"], "", {"lan3": "10.1.3.12"})
    assert "s2 has it" in words


def test_one_of_the_lab_is_of_the_same_release_as_the_others(scenario) -> None:
    newer = tuple(replace(machine, release="bookworm") for machine in scenario.machines)
    entry = membership._entry("s4", replace(scenario, machines=newer), scenario, "", {})
    assert entry["release"] == "bookworm"
    assert "release" not in membership._entry("s4", scenario, scenario, "", {})
    assert "release" not in membership._entry("s4", scenario, scenario, "me@host", {})


def test_one_of_the_lab_calls_its_interfaces_as_the_others_do(scenario) -> None:
    numbered = {"lan3": "eth1", "lan4": "eth2", "lan5": "eth3"}
    machines = tuple(replace(machine, interfaces=numbered) for machine in scenario.machines)
    entry = membership._entry("s4", replace(scenario, machines=machines), scenario, "", {})
    assert entry["interfaces"] == {"lan3": "eth1", "lan4": "eth2"}
    assert "interfaces" not in membership._entry("s4", scenario, scenario, "", {})


def test_the_last_app_server_stays(scenario) -> None:
    words = refusal(membership.without_servers, scenario, ["s1", "s2", "s3"])
    assert "would leave no app server" in words


def test_several_are_added_at_once(scenario) -> None:
    grown = membership.with_servers(scenario, [f"s{number}" for number in range(4, 51)], "", {})
    assert len(grown.tier("app")) == 50


@pytest.mark.parametrize("text", ["0", "-1", "six", "", "1.5", "99999"])
def test_a_number_that_is_none_is_refused(text) -> None:
    assert "--servers" in refusal(scaling.number, "--servers", text, 1)


def test_adding_changes_new_servers_and_who_must_know_them(scenario) -> None:
    grown = with_s4(scenario)
    pinned = Scenario(**{**vars(grown), "pinned": Pinned("abc", "s2")})
    stages = {stage.name: stage.machines for stage in pipeline.adding(pinned, ["s4"])}
    assert stages["serve"] == stages["ship"] == ("s4",)
    assert {"build", "migrate", "firewall"}.isdisjoint(stages)
    assert {"database", "volume", "balancer"} <= stages.keys()


def test_removing_has_the_balancer_let_go_first(scenario) -> None:
    after = {stage.name: stage.after for stage in pipeline.removing(scenario)}
    assert after["database"] == after["volume"] == ("balancer",)


def held(current: str, *history: str, kept: str = "abc") -> Held:
    moments = tuple((f"2026-01-0{day}", name) for day, name in enumerate(history, 1))
    return Held(current, frozenset(kept), moments)


def test_going_back_is_to_the_release_that_ran_before() -> None:
    assert rollback._chosen({"s1": held("c", "a", "b", "c")}, "") == "b"
    assert rollback._chosen({"s1": held("b", "a", "b", "c", "b")}, "") == "c"
    assert rollback._chosen({"s1": held("c", "a", "b", "c")}, "a") == "a"


def test_going_back_goes_on_where_it_was_cut_short() -> None:
    back, ahead = held("a", "a", "b", "a"), held("b", "a", "b")
    for servers in ([back, ahead, ahead], [back, back, ahead]):
        assert rollback._chosen(dict(zip(("s1", "s2", "s3"), servers, strict=True)), "") == "a"
    # A deployment that was cut short is not gone on with.
    new, old = held("b", "a", "b"), held("a", "a")
    for servers in ([new, old, old], [new, new, old]):
        assert rollback._chosen(dict(zip(("s1", "s2", "s3"), servers, strict=True)), "") == "a"


def test_a_release_that_no_server_keeps_is_no_way_back() -> None:
    assert rollback._chosen({"s1": held("c", "a", "b", "c", kept="ac")}, "") == "a"
    assert "there are c, a" in refusal(
        rollback._chosen, {"s1": held("c", "a", "b", "c", kept="ac")}, "b"
    )
    assert "none to go back to" in refusal(rollback._chosen, {"s1": held("c", "c")}, "")


def test_the_data_goes_back_to_before_the_first_migration_behind_a_release() -> None:
    begun = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 3, 5)]
    assert rollback.before(begun, begun[0] + timedelta(hours=1)) == begun[1]
    assert rollback.before(begun, begun[1]) == begun[2]
    assert rollback.before(begun, begun[2]) is None
