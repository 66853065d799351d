"""Addresses that two machines share: what config.py says of them, and what follows from it."""

from dataclasses import replace

import pytest

from fabfile import pipeline
from fabfile.operations.reach import table
from fabfile.scenario import ROOT, load
from fabfile.scenario.callers import peers
from fabfile.scenario.credentials import make_secrets
from fabfile.scenario.inventory import Inventory
from fabfile.tiers.balancer import state as balancer
from fabfile.tiers.firewall import host
from fabfile.tiers.firewall import state as firewall
from fabfile.tiers.floating import CONFIGURATION, OneByOne, Works, sharing
from tests.unit.test_scenario import change

SECOND = {"tier": "balancer", "lan2": "10.1.2.4", "lan3": "10.1.3.2", "management": "10.250.0.4"}
SHARED = {"balancer": {"lan2": "10.1.2.9"}}
MISTAKES = [
    ("FLOATING", [], "FLOATING must be a dictionary of tier -> network -> address"),
    (
        "FLOATING.bastion",
        {},
        "FLOATING names 'bastion', no tier; those that may are balancer, data",
    ),
    ("FLOATING.storage", {}, "FLOATING names 'storage', a tier whose machines share no address;"),
    ("FLOATING.balancer", "10.1.2.9", "FLOATING['balancer'] must be a dictionary of network ->"),
    ("FLOATING.balancer.lan9", "10.1.9.9", "FLOATING['balancer']['lan9'] names an unknown network"),
    ("FLOATING.balancer.lan2", "10.1.2", "FLOATING['balancer']['lan2'] is '10.1.2', which is not"),
    ("FLOATING.balancer.lan2", "10.1.3.9", "['lan2'] is 10.1.3.9, outside its network 10.1.2.0/24"),
    ("FLOATING.balancer.lan2", "10.1.2.4", "['lan2'] is 10.1.2.4, which lb2 has as its own"),
    ("FLOATING.balancer.lan4", "10.1.4.9", "and MACHINES['lb2'] has no address there"),
    ("FLOATING.balancer", None, "say in FLOATING['balancer']['lan2'] which address they share"),
    ("FLOATING.firewall", {"lan1": "10.1.1.9"}, "MACHINES has 1 of the tier: give it the address"),
    ("MACHINES.lb2", None, "MACHINES has 1 of the tier: give it the address itself, without FLOAT"),
    ("MACHINES.lb3", {**SECOND, "lan2": "10.1.2.5"}, "it may have 2 at most"),
    (
        "MACHINES.fw2",
        {"tier": "firewall", "lan1": "10.1.1.4", "lan2": "10.1.2.5"},
        "['lan1'] which",
    ),
]


@pytest.fixture
def pair(entries):
    """Give the entries of config.py with two balancers, which share an address."""
    entries["MACHINES"]["lb2"] = dict(SECOND)
    entries["FLOATING"] = {tier: dict(shared) for tier, shared in SHARED.items()}
    return entries


@pytest.fixture
def two(pair, read):
    """Give the scenario with two balancers."""
    scenario = read()
    make_secrets(scenario.state)
    return scenario


@pytest.mark.parametrize(("path", "value", "sentence"), MISTAKES)
def test_a_mistake_is_told(pair, mistakes, path, value, sentence):
    change(pair, path, value)
    assert any(sentence in each for each in mistakes()), mistakes()


def test_the_users_find_the_shared_address(two):
    assert two.entry == "10.1.2.9"
    gate = two.machine("fw")
    assert {address for address, *_ in firewall._open(two, gate)} == {"10.1.2.9"}


def test_a_machine_that_shares_is_told_by_its_peer_alone(two):
    assert peers(two, two.machine("lb")) == ("10.1.2.4",)
    assert peers(two, two.machine("fw")) == ()
    (text,) = (
        each.content
        for each in balancer.addressed(two, two.machine("lb2"))
        if each.key == CONFIGURATION
    )
    for line in ("unicast_src_ip 10.1.2.4", "10.1.2.9/32", "        10.1.2.2\n", "state BACKUP"):
        assert line in text
    assert "vrrp_sync_group" not in text


def test_without_a_firewall_only_the_peer_may_say_who_has_it(pair, read):
    for name in ("fw", "c1", "c2"):
        del pair["MACHINES"][name]
    del pair["MACHINES"]["lb"]["routes"]
    scenario = read()
    assert scenario.entry == "10.1.2.9"
    rules = {
        name: each.content
        for name in ("lb", "s1")
        for each in host.rules(scenario, scenario.machine(name))
        if each.key == host.RULES
    }
    assert "ip saddr { 10.1.2.4 } ip ttl 255 ip protocol 112 accept" in rules["lb"]
    assert "112" not in rules["s1"]


def test_one_machine_has_nothing_of_it(scenario):
    for machine in (scenario.machine("lb"), scenario.machine("fw")):
        assert "keepalived" not in pipeline.packages(scenario, machine)
        (gone,) = sharing(scenario, machine, machine.tiers[0], Works("true"))
        assert "done" in gone.probe()
    assert "vrrp" not in table(scenario).lower()
    (configuration, *_) = balancer.desired(scenario, scenario.machine("lb"))
    assert "frontend works" not in configuration.content


def test_two_have_it_in_the_table_and_in_their_images(two):
    assert "| balancer | balancer | who has the shared address | VRRP |" in table(two)
    assert "firewall | who" not in table(two)
    assert "keepalived" in pipeline.packages(two, two.machine("lb2"))


def test_both_change_one_after_the_other(two, monkeypatch):
    class Machine:
        def __init__(self, name):
            self.name = name

    lb, lb2 = Machine("lb"), Machine("lb2")
    for having, batches in (("lb", [[lb2], [lb]]), ("lb2", [[lb], [lb2]]), ("", [[lb, lb2]])):
        monkeypatch.setattr(
            "fabfile.tiers.floating.has_any", lambda each, _, having=having: each.name == having
        )
        assert OneByOne(two, "balancer").batches([lb, lb2]) == batches
    rollouts = {stage.name: stage.rollout for stage in pipeline.stages(two)}
    assert isinstance(rollouts["balancer"], OneByOne) and rollouts["firewall"] is None


def test_the_example_is_a_scenario(states):
    scenario = load(ROOT / "examples" / "pairs.py", Inventory(), states)
    assert scenario.url == "http://10.1.2.2/"
    known = load(ROOT / "config.py", Inventory(), states)
    assert {m.name for m in scenario.machines} - {m.name for m in known.machines} == {
        "bbdd2",
        "fw2",
        "lb2",
    }
    assert scenario.shared(scenario.machine("fw2")).keys() == {"lan1", "lan2"}
    assert replace(scenario, floating={}).entry == "10.1.2.4"
