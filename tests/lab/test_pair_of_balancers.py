"""Two balancers share the users' address: either may die, and whatever is done goes on."""

import json
import re
import time

import pytest

from tests.lab import pairs
from tests.lab.commands import wait_for
from tests.lab.traffic import traffic

PAIR = ("lb", "lb2")
SOCKET = "socat -t 5 stdio /run/haproxy/admin.sock"
# What is left of a machine that shared an address.
LEFT = """
ls /etc/keepalived/keepalived.conf /usr/local/lib/crm-deployer/name-interfaces 2>/dev/null || :
ls -d /etc/systemd/system/keepalived.service.d 2>/dev/null || :
! systemctl -q is-active keepalived || echo runs
! systemctl -q is-enabled keepalived || echo is enabled
"""
OUTAGE = 3  # seconds


class Pair(pairs.Pair):
    """The scenario of a pair of balancers, and who of them has the users' address."""

    tier = "balancer"
    works = "/usr/local/lib/crm-deployer/haproxy-works serves"

    @property
    def shared(self):
        """The address that both share."""
        (address,) = self.addresses
        return address

    def statuses(self, name):
        """Return how HAProxy on a machine sees each server."""
        rows = self.do(name, f"echo 'show stat' | {SOCKET}").splitlines()
        fields = [row.split(",") for row in rows if row.startswith("app,")]
        return {field[1]: field[17] for field in fields if field[1] != "BACKEND"}


@pytest.fixture(scope="module")
def pair(lab, tmp_path_factory):
    """Give two balancers, deployed."""
    made = Pair(lab, tmp_path_factory.mktemp("pair"), entries=pairs.entries(lab, "balancer"))
    with made.deployed():
        yield made


@pytest.fixture(autouse=True)
def as_it_was(pair):
    """See that each test leaves nothing to repair."""
    yield
    pair.assert_as_it_was()


def test_it_is_true_and_everybody_says_who_serves(pair):
    having, other = pair.settled()
    said = pair.task("invoke", "verify")
    assert "FALSE" not in said, said
    assert f"addresses: {pair.shared} is on exactly one of lb and lb2 ({pair.shared} on" in said
    assert f"fw is answered by {having})" in said
    assert "lb and lb2 give requests to the same servers (s1, s2, s3 up on both)" in said
    rows = {row["machine"]: row for row in json.loads(pair.task("invoke", "status", "--json"))}
    roles = {name: rows[name]["sees"][pair.shared] for name in PAIR}
    assert roles == {having: "MASTER", other: "BACKUP"}


@pytest.mark.parametrize("time_of", range(2))
def test_who_serves_dies_and_comes_back(pair, time_of):
    having, other = pair.settled()
    with pairs.asking(pair.scenario.url) as asked, traffic(pair.scenario) as running:
        pair.task("invoke", "lab.stop", having, "--kill")
        wait_for("the other one to serve", lambda: pair.holders([other]), 10)
    print(f"\ntakeover from {having}: {asked}\n    {running.report}")
    assert asked.silence <= OUTAGE and not asked.lost, asked
    # What was confirmed is there.
    assert running.report.written and not running.report.lost, running.report
    with pairs.asking(pair.scenario.url) as asked, traffic(pair.scenario) as running:
        pair.task("invoke", "lab.start", having)
        assert pair.settled() == (other, having)
        # It takes nothing back.
        end = time.monotonic() + 3
        while time.monotonic() < end:
            assert pair.holders() == [other]
    print(f"\nfailing back: {asked}\n    {running.report}")
    assert not asked.failures and not running.report.errors, (asked, running.report)


def test_a_haproxy_that_hangs_is_as_good_as_dead(pair):
    having, other = pair.settled()
    with pairs.asking(pair.scenario.url) as asked:
        pair.do(having, "systemctl kill -s STOP haproxy")
        wait_for("the other one to serve", lambda: pair.holders() == [other], 15)
    pair.do(having, "systemctl kill -s CONT haproxy")
    print(f"\na HAProxy that hangs: {asked}")
    assert not asked.lost, asked


def test_all_operations_go_on_without_either(pair):
    having, other = pair.settled()
    warning = f"{other} does the work of {having}, which is left as it is"
    with pair.without(having):
        for words in (
            ("fab", "deploy"),
            ("fab", "plan"),
            ("fab", "app.restart"),
            ("invoke", "maintenance", "--server", "s2", "on"),
            ("fab", "balancer.deploy"),
        ):
            said = pair.task(*words)
            assert said.count(warning) == 1, said
        assert pair.statuses(other) == {"s1": "UP", "s2": "MAINT", "s3": "UP"}
    pair.settled()
    # It has missed what was done, and takes nobody's place until it is deployed to.
    assert pair.statuses(having)["s2"] == "UP" and pair.holders() == [other]
    assert pair.false() == ["internet: lb and lb2 give requests to the same servers"]
    said = pair.task("fab", "deploy")
    assert "does the work" not in said and f"{having} " in said, said
    assert pair.statuses(having) == pair.statuses(other)
    # And the other way round.
    with pair.without(other):
        said = pair.task("invoke", "maintenance", "--server", "s2", "off")
        assert f"{having} does the work of {other}, which is left as it is" in said
    pair.settled()
    pair.task("fab", "deploy")
    assert {*pair.statuses(other).values()} == {"UP"}


def test_a_server_comes_and_goes_in_both(pair):
    with traffic(pair.scenario) as running:
        pair.task("invoke", "add-server", "--name", "s4")
        both = {name: pair.statuses(name) for name in PAIR}
        pair.task("invoke", "remove-server", "--name", "s4")
    assert both["lb"] == both["lb2"] and both["lb"]["s4"] == "UP"
    assert "s4" not in {**pair.statuses("lb"), **pair.statuses("lb2")}
    assert not running.report.errors and not running.report.lost, running.report


def test_nobody_notices_a_deploy_that_changes_both(pair):
    having, other = pair.settled()
    application = {**pair.entries["APPLICATION"], "health": ["/alive"]}
    changed = pair.write("changed", {**pair.entries, "APPLICATION": application})
    with pairs.asking(pair.scenario.url) as asked, traffic(pair.scenario) as running:
        said = pair.task("fab", "deploy", config=changed)
        back = pair.task("fab", "deploy")
    for text in (said, back):
        steps = re.findall(r"^(\S+) +balancer +(?:change|reload) [\w/.]+$", text, re.M)
        assert steps == [other, other, having, having], text
    print(f"\na deploy that changes haproxy.cfg on both: {asked}\n    {running.report}")
    assert not asked.failures and not running.report.errors and not running.report.lost
    assert pair.holders() == [having]


def test_an_operation_is_refused_where_either_is_held(pair):
    for name in PAIR:
        hold = "systemd-run -q --unit=holder flock /var/lib/crm-deployer/operation sleep 60"
        pair.do(name, hold)
        try:
            said = pair.task("fab", "app.restart", code=1)
            assert "is being changed" in said and "Nothing was changed" in said, said
        finally:
            pair.do(name, "systemctl stop holder")


def test_what_is_broken_is_false(pair):
    _, other = pair.settled()
    interface = (
        f"$(ip -o -4 addr show to {pair.entries['MACHINES'][other]['lan2']} | cut -d' ' -f2)"
    )
    pair.do(other, f"ip addr add {pair.shared}/32 dev {interface}")
    try:
        assert f"addresses: {pair.shared} is on exactly one of lb and lb2" in pair.false()
    finally:
        pair.do(other, f"ip addr del {pair.shared}/32 dev {interface}")
    pair.do(other, "systemctl stop haproxy")
    try:
        false = pair.false()
        assert "internet: lb and lb2 answer, with the shared address or without" in false
    finally:
        pair.do(other, "systemctl start haproxy")
    api = f"echo 'set server app/s1 state maint' | {SOCKET}"
    pair.do(other, api)
    try:
        assert pair.false() == ["internet: lb and lb2 give requests to the same servers"]
    finally:
        pair.task("fab", "deploy")


def test_one_is_taken_out_and_nothing_of_it_is_left(pair):
    machines = {name: each for name, each in pair.entries["MACHINES"].items() if name != "lb2"}
    one = {key: each for key, each in pair.entries.items() if key != "FLOATING"}
    alone = pair.write("alone", {**one, "MACHINES": machines})
    pair.task("invoke", "retire", "--name", "lb2", "--yes", config=alone)
    said = pair.task("fab", "deploy", config=alone)
    assert "stop sharing an address" in said
    assert "0 changes" in pair.task("fab", "deploy", config=alone)
    assert [pair.do(name, LEFT) for name in PAIR] == ["", ""] and not pair.holders()
    assert "FALSE" not in pair.task("invoke", "verify", config=alone)
    pair.task("fab", "deploy")
