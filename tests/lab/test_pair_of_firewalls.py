"""Two firewalls share the addresses that others go by: either may die, and connections go on."""

import hashlib
import io
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from fabfile.tiers.app.checks.browser import png
from tests.lab import pairs
from tests.lab.commands import wait_for
from tests.lab.person import Person
from tests.lab.traffic import traffic

PAIR = ("fw", "fw2")
OUTAGE = 3  # seconds
# How long an upload goes on that nobody lets end, and in how many steps.
UPLOAD_SECONDS = 50
STEPS = 250
SAME = "perimeter: fw and fw2 have the same rules loaded"
KNOWN = "internet: fw and fw2 both know the users' connections"
# What is left of a firewall that was one of two.
LEFT = """
ls /etc/keepalived/keepalived.conf /usr/local/lib/crm-deployer/name-interfaces \
    /etc/conntrackd/conntrackd.conf /usr/local/lib/crm-deployer/fw-* /run/fw-conntrackd.conf \
    2>/dev/null || :
ls -d /etc/systemd/system/keepalived.service.d /etc/systemd/system/conntrackd.service.d \
    2>/dev/null || :
for unit in keepalived conntrackd; do
    ! systemctl -q is-active $unit || echo $unit runs
    ! systemctl -q is-enabled $unit || echo $unit is enabled
done
! iptables -S | grep -e 3780 -e 112 -e vrrp || :
"""

# What a flush of all rules leaves.
FLUSH = """
for tables in iptables ip6tables; do
    for chain in INPUT FORWARD OUTPUT; do $tables -P $chain ACCEPT; done
    $tables -F && $tables -X
done
"""


class Gates(pairs.Pair):
    """The scenario of both pairs, of which the firewalls are tested."""

    tier = "firewall"
    works = "/etc/fw/fw.fw status && /usr/local/lib/crm-deployer/fw-works"


class Slowly(io.BytesIO):
    """A body whose first 32 KiB come at once, and the rest in steps until it may end."""

    def __init__(self, body: bytes, may_end: threading.Event) -> None:
        super().__init__(body)
        self._step, self._may_end = len(body) // STEPS, may_end

    def read(self, size: int | None = -1) -> bytes:
        """Return what comes next."""
        if not self.tell():
            return super().read(32 * 1024)
        if self._may_end.wait(UPLOAD_SECONDS / STEPS):
            return super().read(32 * 1024)
        return super().read(self._step)


@contextmanager
def uploading(scenario):
    """Have somebody upload a photo slowly until the block ends, and see that it arrives whole."""
    person = Person(scenario.url, scenario.secret("administrator_password"))
    photo, bodies, may_end = png(side=400), [], threading.Event()

    def slowly(body: bytes) -> Slowly:
        bodies.append(Slowly(body, may_end))
        return bodies[0]

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(person.upload, photo, 2 * UPLOAD_SECONDS, slowly)
        try:
            wait_for("the upload to go on", lambda: bodies and bodies[0].tell() > 40_000, 20)
            yield answer
        finally:
            may_end.set()
        done = answer.result()
    assert done.status_code == 303, f"{done.status_code}: {done.text[:300]}"
    stored = person.photo_of(done.headers["Location"])
    assert hashlib.sha256(stored).digest() == hashlib.sha256(photo).digest()


@pytest.fixture(scope="module")
def gates(lab, tmp_path_factory):
    """Give two firewalls and two balancers, deployed."""
    entries = pairs.entries(lab, "firewall", "balancer")
    made = Gates(lab, tmp_path_factory.mktemp("gates"), entries=entries)
    with made.deployed():
        yield made


@pytest.fixture(autouse=True)
def as_it_was(gates):
    """See that each test leaves nothing to repair."""
    yield
    gates.assert_as_it_was()


def test_it_is_true_and_everybody_says_who_forwards(gates):
    having, other = gates.settled()
    said = gates.task("invoke", "verify")
    assert "FALSE" not in said, said
    outer, inner = gates.addresses
    assert f"addresses: {outer} and {inner} are on exactly one of fw and fw2" in said
    assert f"{outer} on {having}; c1 is answered by {having}" in said
    assert re.search(f"{KNOWN} \\({other} knows (\\d+) of \\1 that go through {having}\\)", said)
    assert f"{SAME} (fw: loaded; fw2: loaded)" in said
    rows = {row["machine"]: row for row in json.loads(gates.task("invoke", "status", "--json"))}
    for address in gates.addresses:
        roles = {name: rows[name]["sees"][address] for name in PAIR}
        assert roles == {having: "MASTER", other: "BACKUP"}


def test_who_forwards_dies_and_comes_back_and_then_the_other(gates):
    scenario = gates.scenario
    with pairs.on_one_connection(scenario, "/alive") as answers:
        for _ in PAIR:
            having, other = gates.settled()
            with (
                pairs.asking(scenario.url) as asked,
                traffic(scenario) as running,
                uploading(scenario) as upload,
            ):
                gates.task("invoke", "lab.stop", having, "--kill")
                wait_for("the other one to forward", lambda o=other: gates.holders([o]), 10)
                assert not upload.done()
            print(f"\ntakeover from {having}: {asked}\n    {running.report}")
            assert asked.silence <= OUTAGE and not asked.lost, asked
            assert running.report.written and not running.report.lost, running.report
            with pairs.asking(scenario.url) as asked, traffic(scenario) as running:
                gates.task("invoke", "lab.start", having)
                assert gates.settled() == (other, having)
                # It takes nothing back.
                end = time.monotonic() + 3
                while time.monotonic() < end:
                    assert gates.holders() == [other]
            print(f"\nfailing back: {asked}\n    {running.report}")
            assert not asked.failures and not running.report.errors, (asked, running.report)
    print(f"\n{len(answers)} answers on one connection, the slowest took {max(answers):.2f} s")


def test_all_operations_go_on_without_either(gates):
    having, other = gates.settled()
    warning = f"{other} does the work of {having}, which is left as it is"
    with gates.without(having):
        for words in (
            ("fab", "deploy"),
            ("fab", "plan"),
            ("fab", "firewall.deploy"),
            ("fab", "app.restart"),
            ("invoke", "add-server", "--name", "s4"),
            ("invoke", "remove-server", "--name", "s4"),
        ):
            said = gates.task(*words)
            # What does not ask any firewall need not say that one is away.
            assert said.count(warning) == (words[0] == "fab" and words[1] != "app.restart"), said
        assert {*gates.false()} >= {SAME}
    gates.settled()
    with gates.without(other):
        assert f"{having} does the work of {other}" in gates.task("fab", "deploy")


def test_nobody_notices_a_deploy_that_changes_firewalls_and_balancers(gates):
    having, other = gates.settled()
    networks = {**gates.entries["NETWORKS"], "spare": f"{gates.place.lans}9.0/24"}
    application = {**gates.entries["APPLICATION"], "health": ["/alive"]}
    changed = gates.write(
        "changed", {**gates.entries, "NETWORKS": networks, "APPLICATION": application}
    )
    with pairs.asking(gates.scenario.url) as asked, traffic(gates.scenario) as running:
        said = gates.task("fab", "deploy", config=changed)
        again = gates.task("fab", "deploy", config=changed)
        back = gates.task("fab", "deploy")
    assert "0 changes" in again, again
    for text in (said, back):
        steps = re.findall(r"^(\S+) +firewall +(?:change|load)", text, re.M)
        assert steps == [other, other, having, having], text
        assert len(re.findall(r"^\S+ +balancer +reload", text, re.M)) == 2, text
    print(f"\na deploy that changes both pairs: {asked}\n    {running.report}")
    assert not asked.failures and not running.report.errors and not running.report.lost
    assert gates.holders() == [having]


def test_who_is_stopped_or_has_no_rules_has_no_address(gates):
    having, other = gates.settled()
    with pairs.asking(gates.scenario.url) as asked:
        gates.do(having, "/etc/fw/fw.fw stop")
        wait_for("the other one to forward", lambda: gates.holders() == [other], 10)
    print(f"\nfw.fw stop: {asked}")
    assert asked.silence <= OUTAGE and not asked.lost, asked
    # One that boots without its rules takes no address, though nobody has it.
    gates.do(having, "systemctl -q disable fw.service fw-renew.timer")
    gates.task("invoke", "lab.stop", having, "--kill")
    gates.task("invoke", "lab.start", having)
    gates.do(other, "/etc/fw/fw.fw stop")
    wait_for("nobody to forward", lambda: not gates.holders(), 10)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert not gates.holders()
    gates.do(other, "/etc/fw/fw.fw start")
    wait_for("the one with rules to forward", lambda: gates.holders() == [other], 10)
    gates.task("fab", "deploy")


def test_rules_that_were_flushed_come_back_with_what_the_other_one_may_say(gates):
    having, _ = gates.settled()
    before = gates.do(having, "iptables -S")
    assert " 3780 " in before
    gates.do(having, FLUSH)
    wait_for("the rules to be back", lambda: gates.do(having, "iptables -S") == before, 15)
    assert gates.holders() == [having]


def test_what_is_broken_is_false(gates):
    having, other = gates.settled()
    gates.do(other, "systemctl stop conntrackd")
    try:
        false = gates.false()
        assert KNOWN in false and SAME not in false, false
    finally:
        gates.do(other, "systemctl start conntrackd")
    gates.do(other, "iptables -I FORWARD -p tcp --dport 22 -j ACCEPT")
    try:
        assert gates.false() == [SAME]
    finally:
        gates.do(other, "iptables -D FORWARD 1")
    outer, inner = gates.addresses
    own = gates.entries["MACHINES"][other]["lan2"]
    interface = f"$(ip -o -4 addr show to {own} | awk '{{ print $2 }}')"
    gates.do(other, f"ip addr add {inner}/32 dev {interface}")
    try:
        assert f"addresses: {outer} and {inner} are on exactly one of fw and fw2" in gates.false()
    finally:
        gates.do(other, f"ip addr del {inner}/32 dev {interface}")
    assert gates.holders() == [having]


def test_one_is_taken_out_and_nothing_of_it_is_left(gates):
    machines = {name: each for name, each in gates.entries["MACHINES"].items() if name != "fw2"}
    floating = {"balancer": gates.entries["FLOATING"]["balancer"]}
    alone = gates.write("alone", {**gates.entries, "MACHINES": machines, "FLOATING": floating})
    gates.task("invoke", "retire", "--name", "fw2", "--yes", config=alone)
    said = gates.task("fab", "deploy", config=alone)
    assert "stop sharing an address" in said and "stop telling of open connections" in said
    assert "0 changes" in gates.task("fab", "deploy", config=alone)
    assert [gates.do(name, LEFT) for name in PAIR] == ["", ""] and not gates.holders()
    gates.task("fab", "deploy")
