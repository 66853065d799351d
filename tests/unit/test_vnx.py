"""VNX's files: what is taken, what is only reported, what is refused, and the way back."""

import re
from pathlib import Path

import pytest

from fabfile.scenario import load, vnx
from fabfile.scenario.files import entries_of
from fabfile.scenario.inventory import Inventory
from fabfile.scenario.vnx import VnxError

SAMPLES = Path(__file__).resolve().parents[1] / "vnx"
PRACTICE, MORE = SAMPLES / "practice.xml", SAMPLES / "more.xml"


def imported(*files):
    return vnx.merged([vnx.read(file) for file in files])


@pytest.fixture
def scenario_of(tmp_path):
    """Give a function that answers the scenario of what was imported, by the file it makes."""

    def scenario_of(read):
        path = tmp_path / "imported.py"
        path.write_text(vnx.source_text(read, ["practice.xml"]))
        return load(path, Inventory())

    return scenario_of


@pytest.fixture
def spoiled(tmp_path):
    """Give a function that answers the mistakes of practice.xml with a text replaced."""

    def spoiled(old, new):
        text = PRACTICE.read_text()
        assert old in text
        path = tmp_path / "spoiled.xml"
        path.write_text(text.replace(old, new))
        with pytest.raises(VnxError) as caught:
            imported(path)
        return caught.value.mistakes

    return spoiled


def test_machines_networks_and_routes():
    read = imported(PRACTICE)
    assert read.name == "three-tiers"
    assert read.networks == {
        "lan1": "10.1.1.0/24",
        "lan2": "10.1.2.0/24",
        "lan3": "10.1.3.0/24",
        "lan4": "10.1.4.0/24",
        "management": "10.250.0.0/24",
    }
    assert [*read.machines] == ["control", "c1", "fw", "lb", "s1", "bbdd", "nas1", "nas2", "nas3"]
    assert read.machines["fw"] == {
        "tier": "firewall",
        "lan1": "10.1.1.1",
        "lan2": "10.1.2.1",
        "management": "10.250.0.6",
        "interfaces": {"lan1": "eth1", "lan2": "eth2", "management": "eth0"},
        "routes": {"10.1.3.0/24": "10.1.2.2", "10.1.4.0/24": "10.1.2.2"},
    }
    assert read.machines["control"] == {
        "tier": "control",
        "lan1": "10.1.1.2",
        "management": "10.250.0.1",
        "routes": {"10.1.0.0/16": "10.1.1.1"},
    }
    assert read.brick == "/nas/brick"


def test_what_is_not_taken_over_is_reported_with_its_machines():
    assert imported(PRACTICE).notes == (
        "c1, fw, lb, s1, bbdd: eth9 on virbr0 is left out: it gets its address by DHCP; "
        "packages come by the management network",
        "fw: not copied: conf/fw/fw.fwb to /root/",
        "s1: not run: touch /was-run;",
        "bbdd: the route to 10.1.0.0/16 is left out: its gateway 10.1.3.1 is on none of its "
        "networks",
    )


def test_several_files_are_one_scenario(scenario_of):
    read = imported(PRACTICE, MORE)
    assert read.machines["s2"] == {
        "tier": "app",
        "lan3": "10.1.3.12",
        "lan4": "10.1.4.12",
        "lan5": "10.1.5.12",
        # GES, which is left out, has the first network of four.
        "management": "10.250.0.70",
        "interfaces": {"lan3": "eth1", "lan4": "eth2", "lan5": "eth3", "management": "eth0"},
    }
    assert [*read.networks][-2:] == ["lan5", "management"]
    assert "ges: left out: its name says no tier" in read.notes
    assert "s2: eth3 on LAN5 has more addresses on LAN5: the first is taken" in read.notes
    assert [each.name for each in scenario_of(read).tier("app")] == ["s1", "s2"]


def test_a_machine_of_two_files_is_the_later_ones(tmp_path):
    again = tmp_path / "again.xml"
    again.write_text(MORE.read_text().replace('"S2"', '"S1"'))
    read = imported(PRACTICE, again)
    assert read.machines["s1"]["lan3"] == "10.1.3.12"
    assert "s1: taken from again.xml, not from practice.xml" in read.notes
    # What only the other one had is not reported of it.
    assert not [note for note in read.notes if "touch" in note]


def test_the_file_it_makes_is_a_scenario_with_the_projects_application(scenario_of):
    scenario = scenario_of(imported(PRACTICE))
    login = scenario.machine("s1").ssh
    assert (login.user, login.host) == ("root", "10.250.0.14")
    assert scenario.application.name == "crm"
    assert scenario.url == "http://10.1.2.2/"
    assert scenario.lab.directory.name == "crm-three-tiers"


def test_what_a_file_says_becomes_no_code(tmp_path):
    path = tmp_path / "a.xml"
    evil = '"""\nprint(1 / 0) # {x} \\ &#13;1/0&#10;1/0&#133;1/0 &#8232;1/0&#155;31m'
    path.write_text(
        PRACTICE.read_text()
        .replace("touch /was-run;", evil)
        .replace("<scenario_name>Three", f"<scenario_name>{evil} Three")
    )
    read = imported(path)
    text = vnx.source_text(read, ['x"""\n1/0.xml'])
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    target = tmp_path / "a.py"
    target.write_text(text)
    assert entries_of(target)["NETWORKS"] == imported(PRACTICE).networks


def test_a_scenario_that_was_imported_comes_back_as_it_was(scenario_of, tmp_path):
    read = imported(PRACTICE)
    text, notes = vnx.exported(scenario_of(read))
    path = tmp_path / "again.xml"
    path.write_text(text)
    again = imported(path)
    assert (again.name, again.networks, again.machines, again.brick) == (
        read.name,
        read.networks,
        read.machines,
        read.brick,
    )
    assert notes == []
    assert vnx.exported(scenario_of(again)) == (text, [])


def test_config_py_comes_back_but_for_what_vnx_decides(scenario, entries, tmp_path):
    text, notes = vnx.exported(scenario)
    assert notes == [
        "The management addresses are others: VNX numbers them by the order of machines."
    ]
    path = tmp_path / "pfinal.xml"
    path.write_text(text)
    again = imported(path)
    own = ("management", "interfaces")

    def without(machines):
        return {
            name: {key: value for key, value in entry.items() if key not in own}
            for name, entry in machines.items()
        }

    assert without(again.machines) == without(entries["MACHINES"])
    assert again.networks == entries["NETWORKS"]


def test_what_vnx_cannot_say_is_told(entries, read):
    entries["MACHINES"]["s3"]["interfaces"] = {"lan3": "eth9"}
    entries["MACHINES"]["web"] = entries["MACHINES"].pop("s2")
    entries["STORAGE"]["brick"] = "/data/photos"
    text, notes = vnx.exported(read())
    assert [note.partition(":")[0] for note in notes[1:]] == [
        "The name of the bricks is lost, /data/photos",
        "web",
    ]
    assert '<shareddir root="/data">.nas1</shareddir>' in text
    s3 = text.partition('<vm name="s3"')[2].partition("</vm>")[0]
    assert re.findall(r'id="(\d+)" net="(\w+)"', s3) == [
        ("9", "lan3"),
        ("1", "lan4"),
        ("2", "virbr0"),
    ]


MISTAKES = [
    ("</vm>\n\n  <host>", "<host>", "is not well-formed XML: mismatched tag: line"),
    ("</vnx>", "</vnx><vnx/>", "is not well-formed XML: junk after document element: line"),
    ('type="private"', 'type="none"', "vm_mgmt is of type none, so that nobody could log in"),
    ('mask="24" offset', 'mask="99" offset', "vm_mgmt has '99' is not a valid netmask"),
    ('mask="24" offset', 'mask="28" offset', "vm_mgmt 10.250.0.0/28 from 0 on has no room for 5"),
    ('offset="0"', 'offset="x"', "vm_mgmt has invalid literal"),
    ("10.1.3.11/24", "10.1.3.311/24", "s1: eth1 on LAN3 has"),
    ('if id="2" net="LAN4"', 'if id="0" net="LAN4"', "s1: eth0 on LAN4 has id '0', it must be 1"),
    ('if id="2" net="LAN4"', 'if id="1" net="LAN4"', "s1: eth1 on LAN4 has id 1, which another"),
    ("10.1.4.22/24", "10.1.4.22/16", "LAN4 is 10.1.4.0/24 at s1 and 10.1.0.0/16 at nas2"),
    ('name="nas2"', 'name="NAS1"', "machine 7 has the name of another"),
    ("LAN2", "management", "A network must not be called management"),
    ('gw="10.1.3.1"', 'gw="lb"', "s1: its route is"),
]


@pytest.mark.parametrize(("old", "new", "sentence"), MISTAKES)
def test_a_mistake_is_told_by_a_sentence(spoiled, old, new, sentence):
    assert [line for line in spoiled(old, new) if sentence in line], spoiled(old, new)


def test_all_mistakes_are_told_at_once(spoiled):
    assert len(spoiled("10.1.3.", "10.1.333.")) == 5  # of two machines and three routes


ENTITIES = [
    '<!DOCTYPE vnx [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    '<!DOCTYPE vnx [<!ENTITY % a SYSTEM "http://192.0.2.1/a"> %a;]>',
    '<!DOCTYPE vnx [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>',
]


@pytest.mark.parametrize("entity", ENTITIES)
def test_entities_are_refused(spoiled, entity):
    (sentence,) = spoiled("<vnx ", f"{entity}<vnx ")
    assert "declares entities" in sentence


def test_another_kind_of_document_is_refused(tmp_path):
    path = tmp_path / "page.xml"
    path.write_text("<html/>")
    with pytest.raises(VnxError, match="begins with <html>; a scenario of VNX begins with <vnx>"):
        vnx.read(path)
    with pytest.raises(VnxError, match=r"no\.xml cannot be read: No such file"):
        vnx.read(tmp_path / "no.xml")
