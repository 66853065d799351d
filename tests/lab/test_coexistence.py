"""Machines on which others filter packets, too: deploy names them, and flushes nobody's rules."""

import pytest

from tests.lab.commands import wait_for

pytestmark = pytest.mark.installs_packages

INSTALL = "apt-get -qq update && apt-get -qq install -y --no-install-recommends"


@pytest.fixture(scope="module")
def filtered(repaired):
    """Have ufw on s1 and bbdd, nftables.service on nas1, fail2ban on s2, and Docker on s3."""
    app, database = repaired.address("lb", "lan3"), "10.0.0.0/8"
    # Each lets in what deploy says that it must.
    for name, rule in (
        ("s1", f"from {app} to any port 3000 proto tcp"),
        ("s1", f"from {app} to any port 3001 proto tcp"),
        ("bbdd", f"from {database} to any port 6432 proto tcp"),
        ("bbdd", f"from {database} to any port 5432 proto tcp"),
    ):
        repaired.do(
            name,
            f"{INSTALL} ufw >/dev/null 2>&1\n"
            f"ufw allow 22/tcp; ufw allow {rule}; ufw --force enable",
            limit=120,
        )
    repaired.do(
        "nas1",
        f"{INSTALL} nftables >/dev/null 2>&1\n"
        "echo 'table inet theirs { chain c { type filter hook input priority 0; }; }' "
        ">>/etc/nftables.conf; systemctl enable --now nftables 2>/dev/null",
        limit=120,
    )
    repaired.do(
        "s2",
        f"{INSTALL} fail2ban python3-systemd iptables >/dev/null 2>&1 || :\n"
        "printf '[DEFAULT]\\nbackend = systemd\\nbanaction = iptables-multiport\\n' "
        ">/etc/fail2ban/jail.local; systemctl restart fail2ban\n"
        "for n in $(seq 50); do fail2ban-client set sshd banip 192.0.2.7 && break; sleep 0.2; done",
        limit=120,
    )
    repaired.do("s3", f"{INSTALL} docker.io iptables >/dev/null 2>&1", limit=200)
    yield repaired
    repaired.do("s1", "ufw --force disable")
    repaired.do("bbdd", "ufw --force disable")
    repaired.do(
        "nas1", "systemctl disable --now nftables 2>/dev/null; nft delete table inet theirs || :"
    )
    repaired.do("s2", "systemctl disable --now fail2ban 2>/dev/null")
    # It leaves its chains, and forwards nothing.
    repaired.do("s3", "systemctl disable --now docker.socket docker containerd 2>/dev/null")


def test_deploy_says_what_it_found_and_leaves_it_alone(filtered):
    rules = "iptables-save | grep -v '^#' | sed 's/[[][0-9:]*[]]//'"
    before = {name: filtered.do(name, rules) for name in ("s1", "s2", "s3", "bbdd")}
    assert "192.0.2.7" in before["s2"] and "ufw-user-input" in before["s1"]
    assert "-j DOCKER-USER" in before["s3"] and ":FORWARD DROP" in before["s3"]
    done = filtered.fab("deploy")
    assert "0 changes" in done.out, done.text
    app = filtered.address("lb", "lan3")
    assert "s1: ufw found, and left as it is; ufw must let in TCP 22 from " in done.out
    assert f"TCP 3000 from {app}" in done.out, done.text
    assert "s2: fail2ban found, and left as it is\n" in done.out, done.text
    assert "s3: Docker found, and left as it is\n" in done.out, done.text
    assert "nas1: nftables.service found, and left as it is; " in done.out, done.text
    filtered.await_answer()
    assert {name: filtered.do(name, rules) for name in before} == before
    assert "theirs" in filtered.do("nas1", "nft list tables")


def test_one_that_does_not_let_in_what_is_needed_is_no_success(filtered):
    rule = f"from {filtered.address('lb', 'lan3')} to any port 3000 proto tcp"
    filtered.do("s1", f"ufw delete allow {rule}")
    try:
        wait_for("HAProxy to give s1 up", lambda: "s1: DOWN" in filtered.invoke("status").out)
        done = filtered.fab("deploy", code=1)
        assert "s1: ufw found" in done.out
        assert "HAProxy has s1" in done.err, done.text
    finally:
        filtered.do("s1", f"ufw allow {rule}")
        filtered.await_seen()


def test_chains_of_others_on_the_firewall_are_not_flushed(filtered):
    # As fail2ban makes them where somebody is banned.
    filtered.do("fw", "iptables -N f2b-sshd; iptables -I INPUT -p tcp --dport 22 -j f2b-sshd")
    try:
        done = filtered.fab("deploy", code=1)
        assert done.err.endswith("Nothing was changed.\n")
        assert "fw: it has chains of fail2ban (f2b-sshd), which loading the rules" in done.err
        assert "-j f2b-sshd" in filtered.do("fw", "iptables -S INPUT")
    finally:
        filtered.do("fw", "iptables -D INPUT -p tcp --dport 22 -j f2b-sshd; iptables -X f2b-sshd")
    filtered.assert_nothing_to_do()
