"""The picture of the scenario: all is in it, nothing lies over anything, it is up to date."""

from itertools import combinations
from xml.etree import ElementTree

import pytest

from fabfile.operations.picture import PICTURE, svg

SVG = "{http://www.w3.org/2000/svg}"


def with_servers(entries, count):
    machines = entries["MACHINES"]
    for number in range(4, count + 1):
        machines[f"s{number}"] = {
            "tier": "app",
            "lan3": f"10.1.3.{number + 100}",
            "lan4": f"10.1.4.{number + 100}",
            "management": f"10.250.0.{number + 120}",
        }


def boxes(drawing, kind):
    for rect in drawing.iter(f"{SVG}rect"):
        if rect.get("class") == kind:
            x, y, width, height = (float(rect.get(k)) for k in ("x", "y", "width", "height"))
            yield x, y, x + width, y + height


def overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def inside(inner, outer):
    return (
        outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and inner[2] <= outer[2]
        and inner[3] <= outer[3]
    )


@pytest.mark.parametrize("count", [3, 4, 50])
def test_every_machine_and_address_is_in_it_and_no_box_lies_over_another(entries, read, count):
    with_servers(entries, count)
    scenario = read()
    drawing = ElementTree.fromstring(svg(scenario))
    words = [element.text for element in drawing.iter(f"{SVG}text")]
    for machine in scenario.machines:
        assert words.count(machine.name) == 1
        for address in machine.addresses.values():
            assert words.count(str(address)) == 1
    for name, network in scenario.networks.items():
        assert any(name in word and str(network) in word for word in words)
    machines, frames = list(boxes(drawing, "machine")), list(boxes(drawing, "frame"))
    (page,) = boxes(drawing, "page")
    assert len(machines) == len(scenario.machines)
    assert not [
        pair for kind in (machines, frames) for pair in combinations(kind, 2) if overlap(*pair)
    ]
    assert all(sum(inside(machine, frame) for frame in frames) == 1 for machine in machines)
    assert all(inside(frame, page) for frame in frames)


def test_long_addresses_fit_beside_the_names_of_their_networks(entries, read):
    entries["NETWORKS"]["management"] = "100.100.100.0/24"
    for number, machine in enumerate(entries["MACHINES"].values()):
        machine["management"] = f"100.100.100.{100 + number}"
    (box, *_) = boxes(ElementTree.fromstring(svg(read())), "machine")
    # 12 px of a monospace font are 7.3 px a character.
    assert box[2] - box[0] >= 7.3 * len("management 100.100.100.100")


def test_a_scenario_of_ssh_targets_has_no_management_network(entries, read):
    del entries["NETWORKS"]["management"]
    for name, machine in entries["MACHINES"].items():
        machine.pop("management")
        machine["ssh"] = f"{name}.example.org"
    assert "management ·" not in svg(read())


def test_a_scenario_need_not_name_its_users(entries, read):
    for name in ("control", "c1", "c2"):
        del entries["MACHINES"][name]
    ElementTree.fromstring(svg(read()))


def test_the_picture_in_the_repository_is_what_config_py_draws_now(scenario):
    assert PICTURE.read_text() == svg(scenario), "draw it: invoke picture"
