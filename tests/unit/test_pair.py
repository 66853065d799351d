"""Two balancers: what is said to both, which of them may be away, and what is seen of them."""

import socket
from dataclasses import replace

import pytest

from fabfile.engine.remote import Absent, MachineError
from fabfile.operations import session
from fabfile.scenario import ROOT, load
from fabfile.scenario.inventory import Inventory
from fabfile.tiers.balancer import every, haproxy, pair
from fabfile.tiers.balancer.programs import page
from fabfile.verify import floating
from fabfile.verify.check import Site, Unreachable
from fabfile.verify.programs import who_has
from tests.unit.test_programs_on_sockets import listening


@pytest.fixture
def two(states):
    """Give the scenario of examples/pairs.py."""
    return load(ROOT / "examples" / "pairs.py", Inventory(), states)


class Lb:
    def __init__(self, name, how):
        self.name, self.how = name, how


@pytest.fixture
def drains(monkeypatch):
    """Have draining end as each balancer of the test says."""

    def drain(lb, *_):
        if isinstance(lb.how, Exception):
            raise lb.how
        return lb.how

    monkeypatch.setattr(haproxy, "drain", drain)
    monkeypatch.setattr(every, "_is_away", lambda lb: "broke" in str(lb.how))


def test_both_let_go_of_a_server_and_one_that_is_away_is_not_waited_for(drains):
    empty, left = haproxy.Drained.EMPTY, haproxy.Drained.LEFT
    away = Absent("lb2", "no answer")
    assert every.drain([Lb("lb", left)], "s1") == [left.said("s1")]
    both = [Lb("lb", empty), Lb("lb2", left)]
    assert every.drain(both, "s1") == [f"lb2: {left.said('s1')}"]
    assert every.drain([Lb("lb", empty), Lb("lb2", away)], "s1") == []
    broken = MachineError("lb2", "the connection broke")
    assert every.drain([Lb("lb", empty), Lb("lb2", broken)], "s1") == []
    with pytest.raises(Absent):
        every.drain([Lb("lb", away), Lb("lb2", away)], "s1")
    with pytest.raises(MachineError, match="refuses"):
        every.drain([Lb("lb", empty), Lb("lb2", MachineError("lb2", "refuses"))], "s1")


def test_a_server_is_up_where_one_balancer_sees_it(monkeypatch):
    monkeypatch.setattr(haproxy, "statuses", lambda lb: lb.how)
    both = [Lb("lb", {"s1": "UP", "s2": "DOWN"}), Lb("lb2", {"s1": "MAINT", "s2": "UP 1/2"})]
    assert every.statuses(both) == {"s1": "UP", "s2": "UP 1/2"} == every.statuses(both[::-1])
    # One whose HAProxy does not run says nothing.
    assert every.statuses([Lb("lb", {}), Lb("lb2", {"s1": "UP"})]) == {"s1": "UP"}


@pytest.mark.parametrize(
    ("error", "there", "others"),
    [
        (Absent("lb", ""), {"lb2"}, "lb2"),
        (Absent("fw2", ""), {"fw", "lb"}, "fw"),
        (Absent("lb", ""), {"fw", "s1"}, ""),
        (Absent("s1", ""), {"s2"}, ""),
        (Absent("s9", ""), {"s2"}, ""),
        (MachineError("lb", "sudo wants a password"), {"lb2"}, ""),
    ],
)
def test_one_may_be_away_whose_work_another_one_does(two, error, there, others):
    assert session._replaced_by(two, error, there) == others


def test_both_have_the_lock_where_they_share_an_address(two, scenario):
    assert session._pair(two) == ["lb", "lb2"] and session._pair(scenario) == []
    assert session.without_absent(two, ["s1"], {"s1": None, "lb": None}).absent == {"lb2"}
    assert session.without_absent(scenario, ["s1"], {"s1": None}).absent == frozenset()


def reply(card, address, code=2):
    head = b"\0\x01\x08\0\x06\x04\0" + bytes([code])
    return head + bytes.fromhex(card) + socket.inet_aton(address) + bytes(10)


def test_who_says_by_arp_that_an_address_is_theirs():
    card = "02aabbccddee"
    assert who_has.answer(reply(card, "10.1.2.2"), "10.1.2.2") == "02:aa:bb:cc:dd:ee"
    assert who_has.answer(reply(card, "10.1.2.3"), "10.1.2.2") == ""
    assert who_has.answer(reply(card, "10.1.2.2", 1), "10.1.2.2") == ""
    assert who_has.answer(b"short", "10.1.2.2") == ""
    asked = who_has.request(bytes.fromhex(card), "10.1.2.9", "10.1.2.2")
    assert len(asked) == 28 and asked.endswith(socket.inet_aton("10.1.2.2"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"HTTP/1.0 200 OK\r\nX-Served-By: s2\r\n\r\nhello", ("200", "s2")),
        (b"HTTP/1.0 503 Service Unavailable\r\n\r\n", ("503", "")),
        (b"", ("", "")),
    ],
)
def test_the_page_of_one_balancer(text, found):
    received = []
    with listening(text, received) as (address, port):
        assert page.main((address, port, "/alive", "10.1.2.2")) == found
    assert received[0].startswith(b"GET /alive HTTP/1.0\r\nHost: 10.1.2.2\r\n")


CARDS = {"lb": "02:00:00:00:00:01", "lb2": "02:00:00:00:00:02"}


class Seen(Site):
    """A site whose machines say what a test has them say."""

    def run(self, machine, script, seconds=0):
        if machine == "fw":
            return "2: eth1    inet 10.1.2.3/24 scope global eth1"
        text = f"2: eth1: <UP> link/ether {CARDS[machine]} brd"
        return (
            f"{text}\n    inet 10.1.2.2/32 scope" if machine in self.listening["having"] else text
        )

    def program(self, machine, path, given, seconds=0):
        assert (machine, given) == ("fw", ("eth1", "10.1.2.3", "10.1.2.2"))
        return [CARDS[name] for name in self.listening["answering"]]


@pytest.mark.parametrize(
    ("having", "answering", "ok"),
    [
        (["lb"], ["lb"], True),
        (["lb2"], ["lb2"], True),
        (["lb", "lb2"], ["lb"], False),
        (["lb"], ["lb", "lb2"], False),
        (["lb"], ["lb2"], False),
        (["lb"], [], False),
        ([], [], False),
    ],
)
def test_the_address_is_on_exactly_one(two, monkeypatch, having, answering, ok):
    alone = {"balancer": two.floating["balancer"]}
    scenario = replace(two, floating=alone)
    monkeypatch.setattr(floating, "Remote", object)
    remotes = {each.name: object() for each in scenario.inside}
    site = Seen(scenario, remotes, {"having": having, "answering": answering})
    (check,) = floating.checks(site)
    assert check.name == "addresses: 10.1.2.2 is on exactly one of lb and lb2"
    assert check.ok is ok, check.seen


def test_one_of_each_is_asked_for_nothing_more(scenario):
    site = Site(scenario, {m.name: Unreachable(Absent(m.name, "")) for m in scenario.inside})
    assert floating.checks(site) == [] == pair.checks(site)


@pytest.mark.parametrize(
    ("lines", "ok"),
    [
        ({}, True),
        ({"lb2": "app s1 10.1.3.11:3000 1"}, False),
        ({"lb2": "app s1 10.1.3.12:3000 0"}, False),
        ({"lb2": "app s1 10.1.3.11:3000 4"}, True),
    ],
)
def test_both_give_requests_to_the_same_servers(two, monkeypatch, lines, ok):
    class Told(Site):
        def run(self, machine, script, seconds=0):
            same = "app s1 10.1.3.11:3000 0"
            return f"{lines.get(machine, same)}\nstatus s1 UP\n"

    site = Told(two, {})
    found, seen = pair._same(site)
    assert found is ok, seen
