"""verify names each thing that is not as promised, and calls nothing else false."""

import pytest

from tests.lab.places import VERSION

FAULTS = {
    # Words of the checks that must be false, where, how it is broken, how it is repaired by hand.
    "a stopped server": (("s2",), "s2", "systemctl stop crm", "systemctl start crm"),
    "another open port": (
        ("open", ":22"),
        "fw",
        "iptables -I INPUT -i lan1 -p tcp --dport 22 -j ACCEPT; "
        "iptables -I OUTPUT -o lan1 -p tcp --sport 22 -j ACCEPT",
        "/etc/fw/fw.fw start",
    ),
    "a firewall that answers by UDP": (
        ("by UDP", ":53"),
        "fw",
        # That nothing listens there is an answer, too.
        "iptables -I INPUT -i lan1 -p udp --dport 53 -j ACCEPT; "
        "iptables -I OUTPUT -o lan1 -p icmp -j ACCEPT",
        "/etc/fw/fw.fw start",
    ),
    "a firewall that speaks IPv6": (
        ("by IPv6", "fe80:"),
        "fw",
        "ip6tables -I INPUT -i lan1 -j ACCEPT; ip6tables -I OUTPUT -o lan1 -j ACCEPT",
        "/etc/fw/fw.fw start",
    ),
    "a way that is closed": (
        ("every machine reaches", "s3 to bbdd:5432"),
        "bbdd",
        "ip route add unreachable $(getent hosts s3 | cut -d' ' -f1)",
        "ip route del unreachable $(getent hosts s3 | cut -d' ' -f1)",
    ),
    "rules that nobody would load again": (
        ("services: fw", "fw-renew.timer inactive"),
        "fw",
        "systemctl stop fw-renew.timer",
        "systemctl start fw-renew.timer",
    ),
    "a database open to a storage server": (
        ("database", "refused"),
        "bbdd",
        "cd /etc/postgresql/*/main && cp -p pg_hba.conf /root/pg_hba.conf && "
        "echo 'host all all 0.0.0.0/0 scram-sha-256' >> pg_hba.conf && "
        f"systemctl reload postgresql@{VERSION}-main",
        "cp -p /root/pg_hba.conf /etc/postgresql/*/main/pg_hba.conf && rm /root/pg_hba.conf && "
        f"systemctl reload postgresql@{VERSION}-main",
    ),
    "a pooler open to everybody": (
        ("database: refused from", "port 6432: it was asked to log in"),
        "bbdd",
        "cd /etc/pgbouncer && cp -p hba.conf /root/hba.conf && "
        "sed -i '1i host all all 0.0.0.0/0 trust' hba.conf && systemctl reload pgbouncer",
        "cp -p /root/hba.conf /etc/pgbouncer/hba.conf && rm /root/hba.conf && "
        "systemctl reload pgbouncer",
    ),
    # By the same.
    "a pooler that asks for no password": (
        ("database: refused with a wrong password", "port 5432: password authentication failed"),
        "bbdd",
        ":",
        ":",
    ),
    "a pooler that has less room than the servers may take": (
        ("database: all that the servers may open", "its pool has 30 by session"),
        "bbdd",
        "cd /etc/pgbouncer && sed -i.before 's/_size=.*/_size=30/' pgbouncer.ini && "
        "systemctl reload pgbouncer",
        "mv /etc/pgbouncer/pgbouncer.ini.before /etc/pgbouncer/pgbouncer.ini && "
        "systemctl reload pgbouncer",
    ),
    "a password beside the verifiers": (
        ("database: the password is stored", "in the pooler: SCRAM-SHA-256, plain"),
        "bbdd",
        'echo \'"other" "plain"\' >>/etc/pgbouncer/userlist.txt',
        "sed -i '/^.other/d' /etc/pgbouncer/userlist.txt",
    ),
    "an application that goes past the pooler": (
        ("database: s1 gets in", "past the pooler"),
        "s1",
        'sed -i \'s/:6432/:5432/; s/"6432"/"5432"/\' /etc/crm-deployer/crm.env && '
        "systemctl restart crm",
        'sed -i \'s/:5432/:6432/; s/"5432"/"6432"/\' /etc/crm-deployer/crm.env && '
        "systemctl restart crm",
    ),
    "a brick that is gone": (
        ("storage", "heal"),
        "nas2",
        "systemctl stop 'glusterd-watch*'; pkill -KILL glusterfsd",
        "for volume in nas backup; do gluster --mode=script volume start $volume force; done; "
        "systemctl start glusterd-watch glusterd-watch-backup",
    ),
}

# These would not be seen beside those: what they spoil is spoiled already.
ALONE = {
    "uneven weights": (
        ("evenly", "s1"),
        "lb",
        "echo 'set weight app/s1 3' | socat stdio /run/haproxy/admin.sock",
        "echo 'set weight app/s1 1' | socat stdio /run/haproxy/admin.sock",
    ),
    "data in SQLite": (
        ("in SQLite", "s3:", "/customers"),
        "s3",
        'python3 -c \'import sqlite3; one = sqlite3.connect("/srv/crm/current/customers"); '
        'one.execute("CREATE TABLE customers (name)"); one.commit()\' && '
        "chown crm /srv/crm/current/customers",
        "rm -f /srv/crm/current/customers",
    ),
    "data in SQLite on the volume": (
        ("in SQLite", "nas1:", "/nas/brick/crm/kept"),
        "s2",
        "printf 'SQLite format 3\\0' >/mnt/nas/crm/kept",
        "rm -f /mnt/nas/crm/kept",
    ),
    "a volume for everybody": (
        ("may not", "bbdd: accepted"),
        "nas1",
        "grep '^auth.allow=' /var/lib/glusterd/vols/nas/info >/root/allowed && "
        "gluster --mode=script volume set nas auth.allow '*'",
        "gluster --mode=script volume set nas $(tr = ' ' </root/allowed) && rm /root/allowed",
    ),
    "wrong copies on a brick": (
        ("copies are the same", "crm/test/first", "crm/test/second"),
        "s1",
        "mkdir -p /mnt/nas/crm/test && cd /mnt/nas/crm/test && echo right > first && "
        "echo right > second",
        "rm -rf /mnt/nas/crm/test",
    ),
    # The second part of that: one of another size, and one that only its content tells.
    "wrong copies of the same size": (
        ("copies are the same", "crm/test/second"),
        "nas3",
        "cd /nas/brick/crm/test && echo more >> first && echo wrong > second",
        ":",
    ),
}


def broken(lab, faults):
    """Break all of it at once, verify, repair; return the checks that were false."""
    try:
        for _, where, fault, _ in faults.values():
            lab.do(where, fault)
        ok, found = lab.checks(1)
    finally:
        for _, where, _, remedy in faults.values():
            lab.do(where, remedy)
    assert ok is False
    return [f"{check['name']}: {check['seen']}" for check in found if not check["ok"]]


@pytest.fixture(scope="module")
def found(repaired):
    lines = broken(repaired, FAULTS)
    repaired.await_healed()
    return lines


@pytest.fixture(scope="module")
def found_alone(repaired, found):
    assert found
    lines = broken(repaired, ALONE)
    # Nothing else is called false.
    names = ("evenly", "SQLite", "copies are the same", "may not")
    assert len(lines) == len(names) and all(any(n in line for line in lines) for n in names), lines
    repaired.await_healed()
    return lines


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named(found, fault):
    words, *_ = fault
    assert [line for line in found if all(word in line for word in words)], found


@pytest.mark.parametrize("fault", ALONE.values(), ids=ALONE)
def test_a_fault_that_little_shows_of_is_named(found_alone, fault):
    words, *_ = fault
    assert [line for line in found_alone if all(word in line for word in words)], found_alone


def test_after_the_repair_it_is_green_again(repaired, found_alone):
    assert found_alone
    done = repaired.invoke("verify", limit=150)
    assert "checks are true" in done.out
    assert "FALSE" not in done.out
