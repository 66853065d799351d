"""Who an empty storage server becomes, by what the others remember."""

import pytest

from fabfile.engine.change import Refused
from fabfile.tiers.storage.identity import Identity, Member, member, taken
from fabfile.tiers.storage.state import volume
from fabfile.tiers.storage.volumes import name_of, volumes

EMPTY = "UUID=new\noperating-version=110000\n"


@pytest.fixture
def facts(scenario):
    """Return a function that gives what a server prints which knows the others."""
    names = [each.name for each in scenario.tier("storage")]
    addresses = {each.name: name_of(scenario, each) for each in scenario.tier("storage")}

    def printed(name: str, **uuids: str) -> str:
        peers = [
            f"peer {uuids.get(other, f'{other}-uuid')} {addresses[other]} {other}"
            for other in names
            if other != name
        ]
        return "\n".join([f"UUID={name}-uuid", "operating-version=100000", "volume nas", *peers])

    return printed


def test_what_a_server_prints_is_read():
    read = member("UUID=a\noperating-version=100000\nvolume nas\npeer b 10.1.4.22 nas2\n")
    assert read == Member("a", "100000", ("nas",), {"b": ("10.1.4.22", "nas2")})


def test_an_empty_server_becomes_the_one_that_the_others_remember(scenario, facts):
    everyone = {"nas1": EMPTY, "nas2": facts("nas2"), "nas3": facts("nas3")}
    change = Identity(scenario).among("nas1", everyone, set())
    assert change.files["glusterd.info"] == b"UUID=nas1-uuid\noperating-version=100000\n"
    assert change.files["volumes"] == b"nas\n"
    peers = {name: text for name, text in change.files.items() if name.startswith("peer-")}
    address = name_of(scenario, scenario.machine("nas2"))
    assert {*peers} == {"peer-nas2-uuid", "peer-nas3-uuid"}
    assert peers["peer-nas2-uuid"] == f"uuid=nas2-uuid\nstate=3\nhostname1={address}\n".encode()
    assert Identity(scenario).among("nas2", everyone, set()) is None


def test_the_last_of_three_remembers_both(scenario, facts):
    everyone = {"nas1": "", "nas2": EMPTY, "nas3": facts("nas3")}
    for name, other in (("nas1", "nas2"), ("nas2", "nas1")):
        change = Identity(scenario).among(name, everyone, set())
        assert f"UUID={name}-uuid" in change.files["glusterd.info"].decode()
        assert {f"peer-{other}-uuid", "peer-nas3-uuid"} < {*change.files}


@pytest.mark.parametrize("others", [EMPTY, "UUID=nas2-uuid\noperating-version=1\nvolume nas"])
def test_nobody_that_was_a_member_is_replaced(scenario, others):
    everyone = {"nas1": EMPTY, "nas2": others, "nas3": EMPTY}
    assert Identity(scenario).among("nas1", everyone, set()) is None


def test_others_that_disagree_are_refused(scenario, facts):
    everyone = {"nas1": EMPTY, "nas2": facts("nas2"), "nas3": facts("nas3", nas1="other")}
    with pytest.raises(Refused, match="nas1 by two UUIDs"):
        Identity(scenario).among("nas1", everyone, set())


@pytest.mark.parametrize("number", [0, 1])
def test_a_brick_is_taken_on_a_disk_of_its_own_only(scenario, number):
    brick = taken(scenario, scenario.machine("nas2"), volumes(scenario)[number])
    assert brick.plan("done\n", set()) is None
    assert brick.plan("done\n", {Identity.key}) is not None
    assert brick.plan("", set()) is not None
    with pytest.raises(Refused, match="the brick is gone, and /nas is on the system's own file"):
        brick.plan("root\n", set())


def test_what_is_the_volumes_comes_back_with_the_identity(scenario):
    (first, *others) = volume(scenario, scenario.machine("nas1"))
    assert others and first.plan("", set()) is not None
    assert [each.plan("", {Identity.key}) for each in (first, *others)] == [None] * (
        len(others) + 1
    )
