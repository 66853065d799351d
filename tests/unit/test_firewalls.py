"""Two firewalls: what each lets the other one say, and what is asked of the pair."""

from contextlib import nullcontext

import pytest

from fabfile import pipeline
from fabfile.operations.reach import table
from fabfile.scenario import ROOT, load
from fabfile.scenario.credentials import make_secrets
from fabfile.scenario.inventory import Inventory
from fabfile.tiers import TIERS
from fabfile.tiers.firewall import checks, pair, state
from fabfile.verify.check import Site

TOLD = "-p udp -m udp --dport 3780 -j ACCEPT"
CONNECTION = "tcp 6 431997 ESTABLISHED src=10.1.1.{0} dst=10.1.2.2 sport=4{0} dport=80 src=10.1.2.2"


@pytest.fixture
def two(states):
    """Give the scenario of examples/pairs.py."""
    found = load(ROOT / "examples" / "pairs.py", Inventory(), states)
    make_secrets(found.state)
    return found


def contents(resources):
    """Return path -> text of the files among resources."""
    return {each.key: each.content for each in resources if hasattr(each, "content")}


def test_the_other_one_alone_is_let_in_and_on_the_network_of_both(two):
    rules = contents(state.rules(two, two.machine("fw")))[state.SCRIPT]
    said = [line for line in rules.splitlines() if "-p 112" in line or "3780" in line]
    assert said == [
        "-A INPUT -i $lan_outside -s 10.1.1.4 -p 112 -m ttl --ttl-eq 255 -j ACCEPT",
        "-A OUTPUT -o $lan_outside -d 10.1.1.4 -p 112 -m ttl --ttl-eq 255 -j ACCEPT",
        "-A INPUT -i $lan_inside -s 10.1.2.5 -p 112 -m ttl --ttl-eq 255 -j ACCEPT",
        "-A OUTPUT -o $lan_inside -d 10.1.2.5 -p 112 -m ttl --ttl-eq 255 -j ACCEPT",
        f"-A INPUT -i $lan_inside -s 10.1.2.5 {TOLD}",
        f"-A OUTPUT -o $lan_inside -d 10.1.2.5 {TOLD}",
    ]
    # What comes from outside in the name of what is inside is dropped before.
    assert rules.index("-A INPUT -i $lan_outside -j SPOOFED") < rules.index(said[0])
    # The interfaces are found by the machine's own addresses, which stay.
    assert 'named "10.1.1.3"' in rules and "10.1.1.1" not in rules


def test_both_say_which_connections_are_open(two):
    found = contents(state.forwarding(two, two.machine("fw2")))
    told = found[pair.CONFIGURATION]
    for line in (
        "IPv4_address 10.1.2.5",
        "IPv4_Destination_Address 10.1.2.3",
        "Port 3780",
        "DisableExternalCache yes",
        "IPv4_address 10.1.2.2",
    ):
        assert f" {line}\n" in told
    shared = found["/etc/keepalived/keepalived.conf"]
    assert "vrrp_sync_group firewall" in shared
    assert f'notify_master "{pair.PROGRAM} taken" root' in shared
    drop_in = found["/etc/systemd/system/keepalived.service.d/crm.conf"]
    assert "After=fw.service conntrackd.service" in drop_in
    assert "| firewall | firewall | open connections | UDP 3780 |" in table(two)
    assert "stop_telling" in TIERS["firewall"].retire


def test_one_firewall_has_nothing_of_it(scenario):
    (fw,) = scenario.tier("firewall")
    rules = contents(state.rules(scenario, fw))[state.SCRIPT]
    assert "112" not in rules and "3780" not in rules
    found = contents(state.forwarding(scenario, fw))
    assert not found.keys() & {pair.CONFIGURATION, pair.DROP_IN, pair.PROGRAM, pair.WORKS}
    assert not {"conntrackd", "conntrack", "keepalived"} & {*pipeline.packages(scenario, fw)}
    assert "3780" not in table(scenario)
    assert pair.view(scenario, fw).units == ()
    assert checks.checks(Site(scenario, {})) == []


class Told(Site):
    """A site whose firewalls say what a test has them say."""

    def run(self, machine, script, seconds=0):
        return next(text for part, text in self.listening[machine].items() if part in script)


def rules_of(name, interfaces, *more):
    outer, inner = ("10.1.1.3", "10.1.2.3") if name == "fw" else ("10.1.1.4", "10.1.2.5")
    peer = "10.1.2.5" if name == "fw" else "10.1.2.3"
    lines = [
        f"2: {interfaces[0]}    inet {outer}/24 brd 10.1.1.255 scope global {interfaces[0]}",
        f"3: {interfaces[1]}    inet {inner}/24 brd 10.1.2.255 scope global {interfaces[1]}",
        "-P INPUT DROP",
        f"-A INPUT -s {peer}/32 -i {interfaces[1]} -p udp -j ACCEPT",
        f"-A FORWARD -d 10.1.2.2/32 -i {interfaces[0]} -o {interfaces[1]} -p tcp -j ACCEPT",
        *more,
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("more", "status", "ok"),
    [
        ((), "loaded", True),
        (("-A FORWARD -j ACCEPT",), "loaded", False),
        ((), "these rules are on trial", False),
    ],
)
def test_both_have_the_same_rules_whatever_their_interfaces_are_called(two, more, status, ok):
    site = Told(
        two,
        {},
        {
            "fw": {"status": "/etc/fw/fw.fw: loaded\n", "-S": rules_of("fw", ("eth1", "eth2"))},
            "fw2": {
                "status": f"/etc/fw/fw.fw: {status}\n",
                "-S": rules_of("fw2", ("ens9", "eth1"), *more),
            },
        },
    )
    found, seen = checks._rules(site)
    assert found is ok and f"fw2: {status}" in seen, seen


@pytest.mark.parametrize(
    ("having", "there", "ok"),
    [
        (["fw2"], (1, 2), True),
        (["fw2"], (1, 2, 3), True),
        (["fw2"], (1,), False),
        (["fw"], (1,), True),
        (["fw"], (1, 2, 3), False),
        ([], (1, 2), False),
        (["fw", "fw2"], (1, 2), False),
    ],
)
def test_the_other_one_knows_what_lasts(two, monkeypatch, having, there, ok):
    monkeypatch.setattr(checks.socket, "create_connection", lambda *_: Line())
    monkeypatch.setattr(checks, "TOLD_SECONDS", 0)
    through = {"fw": there, "fw2": (1, 2)}
    site = Told(
        two,
        {},
        {
            name: {
                "ip -o": "address" if name in having else "",
                "conntrack": "\n".join(CONNECTION.format(each) for each in through[name]),
            }
            for name in through
        },
    )
    found, seen = checks._known(site)
    assert found is ok, seen


class Line(nullcontext):
    def close(self):
        pass
