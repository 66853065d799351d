"""Added and removed servers: the file that holds them, and the addresses they get."""

import json
from ipaddress import IPv4Address, IPv4Network

import pytest

from fabfile.scenario import ROOT, ScenarioError, load
from fabfile.scenario.addresses import AddressError, allocate
from fabfile.scenario.inventory import Inventory, InventoryError, read, write

S4 = {"tier": "app", "lan3": "10.1.3.14", "lan4": "10.1.4.14", "management": "10.250.0.14"}


def app_servers(inventory: Inventory) -> list[str]:
    return [machine.name for machine in load(ROOT / "config.py", inventory).tier("app")]


def test_an_added_server_is_one_of_the_scenario() -> None:
    assert app_servers(Inventory().adding("s4", S4)) == ["s1", "s2", "s3", "s4"]


def test_a_removed_server_of_config_py_stays_removed_until_it_is_added_again() -> None:
    without = Inventory().removing("s2")
    assert app_servers(without) == ["s1", "s3"]
    assert app_servers(without.adding("s2", None)) == ["s1", "s2", "s3"]


def test_removing_an_added_server_leaves_nothing_of_it() -> None:
    grown = Inventory().adding("s4", S4).maintaining("s4", True)
    assert grown.removing("s4") == Inventory()


def test_what_is_written_is_read(tmp_path) -> None:
    inventory = Inventory({"s4": S4}, ("s2",), ("s1",))
    write(tmp_path / "state" / "inventory.json", inventory)
    assert read(tmp_path / "state" / "inventory.json") == inventory
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["inventory.json"]


def test_without_a_file_nothing_was_added(tmp_path) -> None:
    assert read(tmp_path / "inventory.json") == Inventory()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"added": []}',
        '{"removed": "s2"}',
        '{"unknown": 1}',
        '{"added": {"s4": {"tier": "storage"}}}',
        '{"added": {"s4": 4}}',
        '{"maintenance": [1]}',
    ],
)
def test_a_broken_file_is_one_sentence(states, text) -> None:
    path = states / "pfinal" / "inventory.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load(ROOT / "config.py", states=states)
    assert len(caught.value.mistakes) == 1 and "\n" not in caught.value.mistakes[0]
    assert str(path) in str(caught.value) and "move it away" in str(caught.value)


def test_a_server_of_both_files_that_say_different_things_is_refused() -> None:
    with pytest.raises(InventoryError, match="s1 was added as"):
        Inventory({"s1": S4}).merged({"s1": {"tier": "app"}})
    assert Inventory({"s4": S4}).merged({"s4": S4}) == {"s4": S4}


NETWORKS = {"lan3": IPv4Network("10.1.3.0/24"), "lan4": IPv4Network("10.1.4.0/24")}


def taken(*addresses: str) -> dict[IPv4Address, str]:
    return {IPv4Address(address): "someone" for address in addresses}


def test_by_habit_the_number_of_the_server_gives_its_address() -> None:
    assert allocate("s4", NETWORKS, {}, {}) == {"lan3": "10.1.3.14", "lan4": "10.1.4.14"}


def test_a_number_must_be_free_on_every_network() -> None:
    busy = taken("10.1.4.21", "10.1.3.101")
    assert allocate("s11", NETWORKS, busy, {}) == {"lan3": "10.1.3.102", "lan4": "10.1.4.102"}


def test_a_name_without_a_number_has_no_habit() -> None:
    assert allocate("web", NETWORKS, {}, {})["lan3"] == "10.1.3.101"


def test_given_addresses_are_taken_and_the_others_found() -> None:
    given = {"lan3": "10.1.3.77"}
    assert allocate("s4", NETWORKS, {}, given) == {"lan3": "10.1.3.77", "lan4": "10.1.4.14"}
    given = {"lan3": "10.1.3.77", "lan4": "10.1.4.78"}
    assert allocate("s4", NETWORKS, {}, given) == given


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("10.1.9.7", "outside lan3"),
        ("10.1.3.0", "outside lan3"),
        ("10.1.3.255", "outside lan3"),
        ("10.1.3.1", "lb has it"),
        ("ten", "not an IPv4 address"),
    ],
)
def test_an_address_that_cannot_be_had_is_refused(address, reason) -> None:
    with pytest.raises(AddressError, match=reason):
        allocate("s4", NETWORKS, {IPv4Address("10.1.3.1"): "lb"}, {"lan3": address})


def test_fifty_servers_fit_and_none_shares_an_address() -> None:
    scenario = load(ROOT / "config.py", Inventory())
    networks = {name: scenario.networks[name] for name in ("lan3", "lan4", "management")}
    inventory = Inventory()
    for number in range(4, 51):
        grown = load(ROOT / "config.py", inventory)
        used = {a: m.name for m in grown.machines for a in m.addresses.values()}
        entry = {"tier": "app", **allocate(f"s{number}", networks, used, {})}
        inventory = inventory.adding(f"s{number}", entry)
    assert len(load(ROOT / "config.py", inventory).tier("app")) == 50
    json.dumps(dict(inventory.added))


def test_no_address_left_is_one_sentence() -> None:
    networks = {"lan3": IPv4Network("10.1.3.0/29"), "lan4": NETWORKS["lan4"]}
    with pytest.raises(AddressError, match="no host number"):
        allocate("s4", networks, {}, {})
    full = taken(*(f"10.1.3.{number}" for number in range(1, 255)))
    with pytest.raises(AddressError, match="lan3"):
        allocate("s4", NETWORKS, full, {})


def test_a_server_in_maintenance_is_there_but_does_not_serve() -> None:
    scenario = load(ROOT / "config.py", Inventory().maintaining("s2", True))
    assert [machine.name for machine in scenario.serving] == ["s1", "s3"]
    assert scenario.in_maintenance(scenario.machine("s2"))
    assert load(ROOT / "config.py", Inventory()).serving == scenario.tier("app")
