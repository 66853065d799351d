"""Whoever flushes the firewall's rules has them back, and they are there from the first moment."""

import pytest

from tests.lab import knocking
from tests.lab.commands import wait_for
from tests.lab.packages import borrowed

SCRIPT = "/etc/fw/fw.fw"
BOOT = "cut -d ' ' -f 22 /proc/1/stat"
POLICIES = "for tables in iptables ip6tables; do $tables -S | grep -e '^-P'; done"
ACCEPT, DROP = (
    "".join(f"-P {chain} {policy}\n" for chain in ("INPUT", "FORWARD", "OUTPUT")) * 2
    for policy in ("ACCEPT", "DROP")
)
# What happens one after the other at boot.
ORDER = (
    "ActiveEnterTimestampMonotonic nftables",
    "ExecMainStartTimestampMonotonic fw",
    "ActiveEnterTimestampMonotonic fw",
    "ExecMainStartTimestampMonotonic systemd-networkd",
)


@pytest.fixture(scope="module")
def fw(repaired):
    """Hand out a firewall on which Debian's nftables is installed, and take that away again."""
    with borrowed(repaired, "fw", "nftables"):
        yield repaired.host("fw")


def loaded(fw):
    """Tell whether the rules are loaded, and nothing else."""
    return fw.run(f"{SCRIPT} status").rc == 0


def forwards(fw):
    """Tell whether the kernel forwards."""
    return fw.check_output("cat /proc/sys/net/ipv4/ip_forward") == "1"


def test_rules_that_are_flushed_come_back_within_10_s(repaired, fw):
    begun = fw.check_output("date +%s && nft flush ruleset")
    wait_for("the rules to come back", lambda: loaded(fw), 10)
    assert forwards(fw)
    repaired.await_answer(5)
    assert repaired.planned() == []
    # One line, and none for each time that it looks.
    said = fw.check_output(f"journalctl -q -u fw-renew.service -o cat --since @{begun}")
    assert said == f"{SCRIPT}: the rules were flushed and are loaded again"


def test_nftables_may_start_and_stop_beside_it(fw):
    # It has the rules back as soon as systemctl has done it, so the timer may rest.
    fw.check_output("systemctl stop fw-renew.timer")
    try:
        for words in ("enable --now", "reload", "restart", "disable --now"):
            fw.check_output(f"systemctl {words} nftables")
            assert loaded(fw), words
    finally:
        fw.check_output("systemctl disable --now nftables; systemctl start fw-renew.timer")


def test_flushed_while_it_is_stopped_it_is_closed_again_and_stays_stopped(fw):
    fw.check_output("systemctl stop fw")
    try:
        closed = fw.check_output("iptables -S")
        fw.check_output("nft flush ruleset")
        wait_for("it to be closed", lambda: fw.check_output("iptables -S") == closed, 10)
        assert fw.check_output(POLICIES) == DROP.strip()
        assert not forwards(fw)
        assert fw.run("systemctl is-active fw").stdout == "inactive\n"
    finally:
        fw.check_output("systemctl start fw")
    assert loaded(fw)


def test_a_rule_by_hand_is_left_to_the_person(fw):
    fw.check_output("iptables -N FOREIGN; iptables -A FORWARD -j FOREIGN")
    try:
        fw.check_output(f"{SCRIPT} renew")
        assert "-A FORWARD -j FOREIGN" in fw.check_output("iptables -S")
    finally:
        fw.check_output(f"{SCRIPT} start")


def test_a_trial_goes_on_and_is_taken_back_as_ever(fw):
    fw.check_output(f"{SCRIPT} try && nft flush ruleset && {SCRIPT} renew")
    assert fw.check_output(POLICIES) == DROP.strip()
    assert fw.run(f"{SCRIPT} status").stdout == f"{SCRIPT}: these rules are on trial\n"
    assert fw.check_output("systemctl is-active fw-back.timer") == "active"
    fw.check_output(f"{SCRIPT} keep")
    assert loaded(fw)
    fw.check_output(f"{SCRIPT} try && nft flush ruleset && systemctl start fw-back.service")
    wait_for("the trial to be taken back", lambda: loaded(fw), 5)
    assert fw.run(f"{SCRIPT} keep").rc != 0
    fw.check_output(f"{SCRIPT} try && {SCRIPT} keep")


def test_a_machine_that_was_given_no_rules_gets_none(fw):
    flush = "rm /run/fw-held && nft flush ruleset"
    try:
        seen = fw.check_output(f"{flush} && {SCRIPT} renew && {{ {POLICIES}; }}")
    finally:
        fw.check_output(f"{SCRIPT} start")
    assert seen == ACCEPT.strip()


def test_rules_that_cannot_be_loaded_again_end_the_forwarding_until_they_can(fw):
    link = "/etc/alternatives/iptables-restore"
    program = fw.check_output(f"readlink {link}")
    fw.check_output(f"ln -sfn /bin/false {link} && nft flush ruleset")
    try:
        wait_for("the forwarding to end", lambda: not forwards(fw), 10)
    finally:
        fw.check_output(f"ln -sfn {program} {link}")
    wait_for("the rules and the forwarding", lambda: loaded(fw) and forwards(fw), 10)
    assert fw.check_output("systemctl --failed --no-legend --plain") == ""


def test_a_renewal_that_is_off_is_shown_and_mended(repaired, fw):
    fw.check_output("systemctl -q disable --now fw-renew.timer")
    assert repaired.planned() == [("fw", "enable and start fw-renew.timer")]
    repaired.fab("firewall.deploy")
    assert fw.service("fw-renew.timer").is_running
    assert fw.service("fw-renew.timer").is_enabled


def test_a_reboot_beside_nftables_leaves_no_moment_without_rules(repaired, fw):
    fw.check_output("systemctl -q enable --now nftables")
    try:
        before = repaired.do("fw", BOOT)
        with knocking.closed(repaired) as knocked:
            repaired.do("fw", "systemctl reboot", code=None)
            wait_for("fw to boot", lambda: repaired.do("fw", BOOT) != before, 90)
            repaired.await_answer(30)
            assert knocked() == []
        assert loaded(fw)
        assert forwards(fw)
        assert fw.check_output(POLICIES) == DROP.strip()
        times = [int(fw.check_output(f"systemctl show -P {each}")) for each in ORDER]
        assert times[0] > 0
        assert times == sorted(times)
    finally:
        repaired.do("fw", "systemctl -q disable --now nftables")
    assert repaired.do("fw", "systemctl --failed --no-legend --plain") == ""
