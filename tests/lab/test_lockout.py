"""Rules that would lock the person out of the firewall undo themselves, and nothing was lost."""

import pytest

from tests.lab import places
from tests.lab.commands import as_root

pytestmark = pytest.mark.usefixtures("repaired")


@pytest.fixture
def locking_out(lab, tmp_path):
    """Give a scenario whose management address of the firewall is on the inner interface."""
    entries = lab.entries
    entries["MACHINES"]["fw"]["ssh"] = f"deploy@{lab.address('fw', 'management')}:22"
    entries["MACHINES"]["fw"]["management"] = f"{places.MANAGEMENT}250"
    lab.do("fw", f"ip address add {places.MANAGEMENT}250/32 dev lan2")
    yield places.write(entries, tmp_path / "config.py")
    lab.do("fw", f"ip address delete {places.MANAGEMENT}250/32 dev lan2")


def test_rules_that_let_no_new_connection_in_are_taken_back(lab, locking_out):
    script = lab.do("fw", "cat /etc/fw/fw.fw")
    done = lab.fab("firewall.deploy", config=locking_out, code=1, limit=150)
    assert "these rules let no new connection in for 20 s" in done.text
    assert "are the interfaces and the SSH port of the firewall right in config.py?" in done.text
    assert "stages not started: forward" in done.text
    # We are in again, and what comes at the next boot is what was there before.
    assert lab.do("fw", "cat /etc/fw/fw.fw") == script
    assert "loaded" in lab.do("fw", "/etc/fw/fw.fw status")
    assert lab.planned() == []
    lab.await_answer(5)


@pytest.fixture
def forwarded(lab, tmp_path):
    """Give a scenario that comes to fw by a port that is forwarded to that of its SSH server."""
    address = lab.address("fw", "management")
    forward = "PREROUTING -p tcp --dport 4022 -j REDIRECT --to-ports 22"
    lab.do("fw", f"iptables -t nat -A {forward}")
    entries = lab.entries
    entries["MACHINES"]["fw"]["ssh"] = f"deploy@{address}:4022"
    known_hosts = tmp_path / "known_hosts"
    text = (places.STATE / "known_hosts").read_text()
    known_hosts.write_text(text.replace(f"{address} ", f"[{address}]:4022,{address} "))
    entries["LOGIN"]["known_hosts"] = str(known_hosts)
    yield places.write(entries, tmp_path / "config.py")
    lab.fab("firewall.deploy")
    lab.do("fw", f"iptables -t nat -D {forward}")


def test_the_rules_open_the_port_that_the_ssh_server_has_and_not_the_one_we_see(lab, forwarded):
    lab.do("fw", "iptables -I FORWARD -j ACCEPT")
    done = lab.fab("firewall.deploy", config=forwarded)
    assert "load the firewall rules" in done.text
    assert "0 changes" in lab.fab("firewall.plan", config=forwarded).out
    assert "--dports 22 " in lab.do("fw", "iptables -S INPUT")


@pytest.fixture
def by_ipv6(lab, tmp_path):
    """Give a scenario that logs in on s1 and fw by IPv6 addresses, which fw's rules let in."""
    bridge = f"{places.PREFIX}management"
    # The lab has turned it off there.
    switch = f"/proc/sys/net/ipv6/conf/{bridge}/disable_ipv6"
    as_root("sh", "-c", f"echo 0 >{switch}")
    as_root("ip", "address", "replace", "fd81::1/64", "dev", bridge, "nodad")
    entries = lab.entries
    known_hosts = tmp_path / "known_hosts"
    text = (places.STATE / "known_hosts").read_text()
    for number, name in enumerate(("s1", "fw"), 2):
        lab.do(name, f"ip address replace fd81::{number}/64 dev management nodad")
        entries["MACHINES"][name]["ssh"] = f"deploy@[fd81::{number}]:22"
        address = lab.address(name, "management")
        text = text.replace(f"\n{address} ", f"\nfd81::{number},{address} ")
    lab.do("fw", "ip6tables -I INPUT -i management -j ACCEPT; ip6tables -I OUTPUT -j ACCEPT")
    known_hosts.write_text(text)
    entries["LOGIN"]["known_hosts"] = str(known_hosts)
    yield places.write(entries, tmp_path / "config.py")
    for number, name in enumerate(("s1", "fw"), 2):
        lab.do(name, f"ip address delete fd81::{number}/64 dev management")
    as_root("sh", "-c", f"echo 1 >{switch}")


def test_machines_are_reached_by_ipv6_and_rules_that_would_close_it_are_refused(lab, by_ipv6):
    assert "0 changes" in lab.fab("app.plan", config=by_ipv6).out
    done = lab.fab("firewall.deploy", config=by_ipv6, code=1)
    assert "these rules close IPv6, by which you have come in: log in by IPv4" in done.text
    assert "ACCEPT" in lab.do("fw", "ip6tables -S INPUT | grep management")
    lab.fab("firewall.deploy")
