"""Machines on which others have put things of their own: firewalls, users, masks."""

import pytest

from tests.lab import places
from tests.lab.commands import wait_for
from tests.lab.packages import borrowed
from tests.lab.places import VERSION

CLOSED = """
nft add table inet theirs
nft add chain inet theirs input '{ type filter hook input priority 0; policy accept; }'
nft add rule inet theirs input iifname lan3 tcp dport 3000 drop
"""


@pytest.fixture
def closed(repaired):
    """Have a firewall of somebody else's on s1 drop what the balancer asks."""
    with borrowed(repaired, "s1", "nftables"):
        repaired.do("s1", CLOSED)
        yield repaired
        repaired.do("s1", "nft delete table inet theirs")
    repaired.await_seen()


def test_a_server_that_the_balancer_does_not_see_is_no_success(closed):
    wait_for("HAProxy to give s1 up", lambda: "s1: DOWN" in closed.invoke("status").out)
    assert closed.planned() == [("lb", "wait until HAProxy sees s1, s2, s3 up")]
    done = closed.fab("deploy", code=1)
    where = f"{closed.address('s1', 'lan3')}:3000"
    assert f"HAProxy has s1 ({where}) as DOWN, Layer4 timeout" in done.err, done.text
    source = closed.address("lb", "lan3")
    assert f"whether a firewall there lets lb in: from {source} to TCP 3000" in done.err
    assert "s2" not in done.err.partition("failed with exit code")[2], done.text
    # Theirs is left alone.
    assert "tcp dport 3000 drop" in closed.do("s1", "nft list table inet theirs")


def test_a_number_that_is_another_users_is_said_before_anything_is_changed(repaired, tmp_path):
    entries = repaired.entries
    entries["APPLICATION"]["uid"] = 4242
    config = places.write(entries, tmp_path / "config.py")
    repaired.do("s2", "useradd --uid 4242 grafana")
    try:
        done = repaired.fab("deploy", code=1, config=config)
        assert done.text.strip() == (
            "s2: the UID 4242, or the group of that number, which crm is to have, is that of "
            "grafana; give crm another 'uid' in config.py, on all its servers\n"
            "Nothing was changed."
        )
    finally:
        repaired.do("s2", "userdel grafana")


def test_a_unit_that_somebody_has_masked_is_said_before_anything_is_changed(repaired):
    repaired.do("lb", "systemctl mask haproxy.service 2>/dev/null")
    try:
        done = repaired.fab("deploy", code=1)
        assert done.text.strip() == (
            "lb: haproxy.service is masked, which forbids it to start; "
            "'systemctl unmask haproxy.service' there takes that back\nNothing was changed."
        )
    finally:
        repaired.do("lb", "systemctl unmask haproxy.service 2>/dev/null")


def start_again(lab, cure):
    """Start HAProxy by an attempt of its own, not the one that systemd is just making.

    However often it was tried before, which would be a reason to refuse.
    """
    begin = "systemctl reset-failed haproxy; systemctl start haproxy"
    lab.do("lb", f"systemctl stop haproxy\n{cure}\n{begin}")


def test_why_a_unit_does_not_start_is_said_by_its_journal(repaired):
    drop_in = "/run/systemd/system/haproxy.service.d/refuses.conf"
    repaired.do(
        "lb",
        f"mkdir -p $(dirname {drop_in}); systemctl stop haproxy\n"
        f"printf '[Service]\\nExecStartPre=sh -c \"echo no room; exit 1\"\\n' >{drop_in}",
    )
    try:
        done = repaired.fab("balancer.deploy", code=1)
        assert "no room" in done.err, done.text
        assert "journalctl" not in done.err, done.text
    finally:
        start_again(repaired, f"rm {drop_in}; systemctl daemon-reload")


def test_a_port_of_the_statistics_that_is_taken_is_said(repaired):
    repaired.do("lb", "systemctl stop haproxy")
    serve = "socat TCP-LISTEN:8404,fork,reuseaddr SYSTEM:cat"
    repaired.do("lb", f"systemd-run -q --collect --unit=stranger {serve}")
    try:
        listens = "ss -Hltn 'sport = :8404'"
        wait_for("the stranger to listen", lambda: repaired.do("lb", listens))
        done = repaired.fab("deploy", code=1)
        assert "lb: port 8404 is taken by socat (process " in done.err, done.text
        assert "of stranger.service); stop that or choose another port" in done.err, done.text
    finally:
        start_again(repaired, "systemctl stop stranger")


@pytest.fixture
def without_cluster(repaired):
    """Have PostgreSQL without a cluster, and our settings in its way; all is back behind it."""
    unit, settings = f"postgresql@{VERSION}-main", f"/etc/postgresql/{VERSION}/main"
    data = f"/var/lib/postgresql/{VERSION}/main"
    repaired.do(
        "bbdd",
        f"systemctl stop {unit}; mv {settings} {settings}.away; mv {data} {data}.away\n"
        f"mkdir -p {settings}; cp -a {settings}.away/conf.d {settings}",
    )
    yield repaired
    repaired.do(
        "bbdd",
        f"systemctl stop {unit}; rm -rf {settings} {data}\n"
        f"mv {settings}.away {settings}; mv {data}.away {data}; systemctl start {unit}",
    )
    # The backups are of the new one by now.
    repaired.invoke("backup.now", "--anew")


def test_a_cluster_that_the_package_has_not_made_is_made(without_cluster):
    # It is for a person to say that there was no database.
    assert "--new-database" in without_cluster.fab("deploy", code=1).err
    done = without_cluster.fab("deploy", "--new-database", limit=120)
    assert f"have the cluster {VERSION}/main" in done.out
    assert without_cluster.sql("SELECT DISTINCT datcollate FROM pg_database") == "C.UTF-8"
    without_cluster.await_seen()
    assert without_cluster.planned() == []
