"""verify is green on a healthy system, and names each thing that is not as promised."""

import json

import pytest

FAULTS = {
    # Words of the checks that must be false, where, how it is broken, how it is mended by hand.
    "a stopped server": (("s2",), "s2", "systemctl stop crm", "systemctl start crm"),
    "another open port": (
        ("open", ":22"),
        "fw",
        "iptables -I INPUT -i lan1 -p tcp --dport 22 -j ACCEPT; "
        "iptables -I OUTPUT -o lan1 -p tcp --sport 22 -j ACCEPT",
        "/etc/fw/fw.fw start",
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
        "cd /etc/postgresql/15/main && cp -p pg_hba.conf /root/pg_hba.conf && "
        "echo 'host all all 0.0.0.0/0 scram-sha-256' >> pg_hba.conf && "
        "systemctl reload postgresql@15-main",
        "cp -p /root/pg_hba.conf /etc/postgresql/15/main/pg_hba.conf && rm /root/pg_hba.conf && "
        "systemctl reload postgresql@15-main",
    ),
    "a brick that is gone": (
        ("storage", "heal"),
        "nas2",
        "pkill -KILL glusterfsd",
        "gluster --mode=script volume start nas force",
    ),
}


def checks(lab, code):
    """Answer the checks of `verify --json`, which must end with that exit code."""
    answer = json.loads(lab.invoke("verify", "--json", limit=150, code=code).out)
    return answer["ok"], answer["checks"]


def traces(lab):
    """Answer how many rows the application has, and which files are on the volume."""
    tables = ("customers", "visits", "users", "login_failures")
    rows = ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)
    # The health check tries every second whether it can write.
    files = "find /mnt/nas -type f ! -name '.probe-*' | sort"
    return lab.sql(f"SELECT {rows}", "crm"), lab.do("s1", files)


def test_a_healthy_system_is_true_in_every_check_and_stays_as_it_is(lab):
    before = traces(lab)
    ok, found = checks(lab, 0)
    assert ok is True
    assert [check for check in found if not check["ok"]] == []
    groups = {check["name"].split(":")[0] for check in found}
    assert {"internet", "storage", "database", "application", "services"} <= groups
    assert all(check["seen"] for check in found)
    assert traces(lab) == before


@pytest.fixture(scope="module")
def found(mended):
    """Break everything at once, verify, mend; return the checks that were false."""
    try:
        for _, where, fault, _ in FAULTS.values():
            mended.do(where, fault)
        ok, found = checks(mended, 1)
    finally:
        for _, where, _, remedy in FAULTS.values():
            mended.do(where, remedy)
    mended.await_healed()
    assert ok is False
    return [f"{check['name']}: {check['seen']}" for check in found if not check["ok"]]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named(found, fault):
    words, *_ = fault
    assert [line for line in found if all(word in line for word in words)], found


def test_after_the_repair_it_is_green_again(mended, found):
    assert found
    done = mended.invoke("verify", limit=150)
    assert "checks are true" in done.out
    assert "FALSE" not in done.out
