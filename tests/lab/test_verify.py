"""verify is green on a healthy system, and names each thing that is not as promised."""

import json
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.lab.commands import wait_for
from tests.lab.lab import BIN
from tests.lab.places import VERSION

BRICKS = ("nas1", "nas2", "nas3")

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
    "a brick that is gone": (
        ("storage", "heal"),
        "nas2",
        "systemctl stop glusterd-watch; pkill -KILL glusterfsd",
        "gluster --mode=script volume start nas force; systemctl start glusterd-watch",
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


def checks(lab, code):
    """Return the checks of `verify --json`, which must end with that exit code."""
    answer = json.loads(lab.invoke("verify", "--json", limit=150, code=code).out)
    return answer["ok"], answer["checks"]


def traces(lab):
    """Return how many rows the application has, and which files are on the volume."""
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


def test_a_door_that_nobody_needs_is_a_warning_and_fails_nothing(lab):
    def warning():
        ok, found = checks(lab, 0)
        (check,) = [check for check in found if "nothing else is open" in check["name"]]
        assert ok and check["warning"]
        return check["seen"]

    assert "app.ssh from app" in warning()
    lab.do("bbdd", "systemd-run -q --unit=door systemd-socket-activate -a -l 8099 cat")
    try:
        wait_for("the door to be open", lambda: "8099" in lab.do("bbdd", "ss -Hltn"))
        assert "database:8099 from app and storage" in warning()
    finally:
        lab.do("bbdd", "systemctl stop door")
    assert "8099" not in warning()


def test_a_site_that_was_seeded_before_gets_the_account(lab):
    lab.sql("DELETE FROM users WHERE for_checks", "crm")
    lab.sql("DELETE FROM deployer.done WHERE what LIKE 'account %'", "crm")
    assert lab.planned() == [("s1", "make the account of the checks of crm")]
    lab.fab("deploy")
    lab.assert_nothing_to_do()
    ((login,),) = [lab.sql("SELECT login FROM users WHERE for_checks", "crm").split()]
    # Nobody can guess it, and so lock it out.
    assert re.fullmatch(r"checks-[0-9a-f]{20}", login)


def test_two_at_the_same_time_are_both_true(lab):
    before = traces(lab)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: checks(lab, None), range(2)))
    assert [check for _, found in both for check in found if not check["ok"]] == []
    assert traces(lab) == before


def test_nobody_is_logged_out_or_sees_its_customers(lab):
    """A person's session lives on, and the number of customers stands still, all the time."""
    with requests.Session() as person, ThreadPoolExecutor(1) as pool:
        person.trust_env = False
        page = person.get(f"{lab.scenario.url}login", timeout=10).text
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)[1]
        password = lab.scenario.secret("administrator_password")
        form = {"csrf_token": token, "login": "admin", "password": password}
        assert person.post(f"{lab.scenario.url}login", form, timeout=10).status_code == 200
        seen = set()
        running = pool.submit(checks, lab, 0)
        while not running.done():
            answer = person.get(f"{lab.scenario.url}api/customers", timeout=10)
            seen.add((answer.status_code, answer.json().get("total")))
        assert running.result()[0] is True
    assert len(seen) == 1, seen


def test_what_a_killed_verify_left_is_removed_by_the_next(lab):
    before = traces(lab)
    # As old as they must be to be nobody's any more, and such as another verify may be using.
    for age, name in ((10, "a" * 12), (1, "b" * 12)):
        lab.do("s2", f"f=/mnt/nas/.verify-{name}-s2; touch -d '{age} minutes ago' $f")
        lab.sql(
            "INSERT INTO customers (name, for_checks, created_at) VALUES "
            f"('Verify {name}', true, now() - interval '{age} minutes')",
            "crm",
        )
    try:
        assert checks(lab, 0)[0] is True
        left = lab.sql("SELECT name FROM customers WHERE for_checks", "crm").splitlines()
        files = lab.do("s1", "ls -d /mnt/nas/.verify-*").split()
    finally:
        lab.do("s1", "rm -f /mnt/nas/.verify-*")
        lab.sql("DELETE FROM customers WHERE for_checks", "crm")
    assert left == [f"Verify {'b' * 12}"]
    assert files == [f"/mnt/nas/.verify-{'b' * 12}-s2"]
    assert traces(lab) == before


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        # The mount of one is dead; and of the first, which would be asked to clean up.
        (
            "systemctl stop mnt-nas-watch; pkill -KILL -f '^/usr/sbin/glusterfs .*/mnt/nas'",
            "umount -l /mnt/nas; systemctl restart mnt-nas.mount mnt-nas-watch crm",
        ),
        ("systemctl stop mnt-nas.mount", "systemctl restart mnt-nas.mount crm"),
    ],
)
def test_a_server_without_the_volume_is_found_and_nothing_is_left(repaired, fault, remedy):
    before = traces_on_bricks(repaired)
    try:
        repaired.do("s1", fault)
        assert not any(
            check["ok"] for check in checks(repaired, 1)[1] if "is the same on all" in check["name"]
        )
    finally:
        repaired.do("s1", remedy)
    assert traces_on_bricks(repaired) == before


def traces_on_bricks(lab):
    """Return the files of the checks on each brick, and their customers."""
    left = {name: lab.do(name, "ls -d /nas/brick/.verify-* 2>/dev/null || :") for name in BRICKS}
    return left, lab.sql("SELECT name FROM customers WHERE for_checks", "crm")


def test_ctrl_c_leaves_nothing(lab):
    before = traces(lab)
    verify = subprocess.Popen(
        [BIN / "invoke", "verify"],
        env=lab.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # The background jobs of a shell, and all that they start, ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    first = verify.stdout.readline()
    verify.send_signal(signal.SIGINT)
    rest, _ = verify.communicate(timeout=60)
    assert verify.returncode == 130 and "Traceback" not in rest, first + rest
    assert traces(lab) == before


def test_a_machine_that_is_gone_is_one_sentence(repaired):
    try:
        repaired.invoke("lab.stop", "s3")
        done = repaired.invoke("verify", limit=200, code=1)
    finally:
        repaired.invoke("lab.start", "s3", limit=120)
    assert "s3: no answer from" in done.out and "Traceback" not in done.text


def broken(lab, faults):
    """Break all of it at once, verify, repair; return the checks that were false."""
    try:
        for _, where, fault, _ in faults.values():
            lab.do(where, fault)
        ok, found = checks(lab, 1)
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
