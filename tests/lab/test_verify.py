"""verify is green on a healthy system, which it leaves as it is."""

import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.commands import wait_for
from tests.lab.lab import BIN

BRICKS = ("nas1", "nas2", "nas3")


def traces(lab):
    """Return how many rows the application has, and which files are on the volume."""
    tables = ("customers", "visits", "users", "login_failures")
    rows = ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)
    # The health check tries every second whether it can write.
    files = "find /mnt/nas -type f ! -name '.probe-*' | sort"
    return lab.sql(f"SELECT {rows}", "crm"), lab.do("s1", files)


def test_a_healthy_system_is_true_in_every_check_and_stays_as_it_is(lab):
    before = traces(lab)
    ok, found = lab.checks(0)
    assert ok is True
    assert [check for check in found if not check["ok"]] == []
    groups = {check["name"].split(":")[0] for check in found}
    assert {"internet", "storage", "database", "application", "services"} <= groups
    assert all(check["seen"] for check in found)
    assert traces(lab) == before


def test_a_door_that_nobody_needs_is_a_warning_and_fails_nothing(lab):
    def warning():
        ok, found = lab.checks(0)
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
        both = list(pool.map(lambda _: lab.checks(None), range(2)))
    assert [check for _, found in both for check in found if not check["ok"]] == []
    assert traces(lab) == before


def test_nobody_is_logged_out_or_sees_its_customers(lab):
    """A person's session lives on, and the number of customers stands still, all the time."""
    person, seen = lab.person(), set()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lab.checks, 0)
        while not running.done():
            answer = person.get("/api/customers")
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
        assert lab.checks(0)[0] is True
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
            check["ok"] for check in repaired.checks(1)[1] if "is the same on all" in check["name"]
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
    # Which of them depends on when the kernel asks again who has the address.
    assert re.search(r"s3: (no answer from|\S+ cannot be reached)", done.out), done.text
    assert "Traceback" not in done.text
