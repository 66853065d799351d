"""What the users see, and what the machines do, when something stops working."""

import re
import shlex

import pytest
import requests

from fabfile.tiers.app import health
from tests.lab.commands import wait_for

MAIN_PID = "systemctl show -P MainPID crm.service"


def backends(lab):
    """Answer the state of each app server as HAProxy sees it."""
    rows = lab.do("lb", "echo 'show stat' | socat stdio /run/haproxy/admin.sock").splitlines()
    states = {row.split(",")[1]: row.split(",")[17] for row in rows if row and row[0] != "#"}
    return {name: states[name] for name in lab.apps}


@pytest.fixture(autouse=True)
def whole(mended):
    """Begin and end each test with an application that answers from every server."""
    yield mended
    wait_for("all servers up", lambda: set(backends(mended).values()) == {"UP"})


def test_a_process_that_dies_is_started_again(mended):
    before = mended.do("s1", MAIN_PID)
    mended.do("s1", "systemctl kill -s KILL crm")
    running = "systemctl is-active crm"
    wait_for("crm to run again", lambda: mended.do("s1", MAIN_PID) not in (before, "0\n"))
    wait_for("crm to be active", lambda: mended.do("s1", running, code=None) == "active\n")


@pytest.mark.parametrize(
    ("name", "unit", "also"),
    [
        ("s1", "crm.service", ["wait for crm.service to be healthy"]),
        ("lb", "haproxy.service", []),
        ("nas3", "glusterd.service", []),
    ],
)
def test_processes_that_hang_are_restarted_by_deploy(mended, name, unit, also):
    main = f"systemctl show -P MainPID {unit}"
    before = mended.do(name, main)
    mended.do(
        name, f"systemctl kill --kill-whom={'main' if 'gluster' in unit else 'all'} -s STOP {unit}"
    )
    planned = [(where, action) for where, action in mended.planned() if where == name]
    assert planned == [(name, action) for action in [f"restart {unit}", *also]]
    mended.fab("deploy")
    assert mended.do(name, main) not in (before, "0\n")
    mended.await_healed()


def test_what_a_restart_does_not_cure_is_said_and_restarts_nothing(mended):
    pids = [mended.do(name, MAIN_PID) for name in mended.apps]
    mended.do("bbdd", "ip link set lan4 down")
    try:
        wait_for("health to miss the database", lambda: mended.get("health").status_code == 503)
        planned = mended.planned()
        said = "wait for crm.service to be healthy"
        assert [change for change in planned if change[1] == said] == [
            (name, said) for name in mended.apps
        ]
        assert not [action for _, action in planned if "start" in action], planned
    finally:
        mended.do("bbdd", "ip link set lan4 up")
    mended.await_answer()
    assert [mended.do(name, MAIN_PID) for name in mended.apps] == pids


@pytest.mark.parametrize(
    ("name", "unit", "port", "program"),
    [("s2", "crm", 3000, "python3"), ("lb", "haproxy", 80, "socat")],
)
def test_a_stranger_on_a_port_is_named_before_anything_is_changed(
    mended, name, unit, port, program
):
    answer = "HTTP/1.0 200 OK\r\n\r\n"
    serve = {
        "python3": f"import socket; s = socket.create_server(('', {port}))\n"
        f"while True: c = s.accept()[0]; c.sendall({answer!r}.encode()); c.close()",
        "socat": f"TCP-LISTEN:{port},fork,reuseaddr",
    }[program]
    words = ("python3", "-c", serve) if program == "python3" else ("socat", serve, "SYSTEM:cat")
    mended.do(name, f"systemctl stop {unit}")
    mended.do(name, f"systemd-run -q --collect --unit=stranger {shlex.join(words)}")
    try:
        listens = f"ss -Hltn 'sport = :{port}'"
        wait_for("the stranger to listen", lambda: mended.do(name, listens))
        done = mended.fab("deploy", code=1)
        pid = mended.do(name, "systemctl show -P MainPID stranger").strip()
        assert done.text.strip() == (
            f"{name}: port {port} is taken by {program} (process {pid} of stranger.service); "
            "stop that or choose another port: PORTS in config.py\nNothing was changed."
        )
        # It answers 200, and that is not the health of ours.
        condition = health.healthy(f"{unit}.service", port, "/health")
        assert f"port {port} is not" in mended.do(name, condition, code=1)
    finally:
        mended.do(name, f"systemctl stop stranger; systemctl start {unit}")
    mended.await_answer()


def test_one_server_less_is_not_noticed(mended):
    mended.do("s2", "systemctl stop crm")
    try:
        answers = [mended.get("health") for _ in range(30)]
        assert {answer.status_code for answer in answers} == {200}
        wait_for("lb to see that s2 is down", lambda: "DOWN" in backends(mended)["s2"])
        served = {mended.get("health").headers["X-Served-By"] for _ in range(6)}
        assert served == {"s1", "s3"}
    finally:
        mended.do("s2", "systemctl start crm")


def test_without_any_server_users_get_a_page_they_can_read(mended):
    for name in mended.apps:
        mended.do(name, "systemctl stop crm")
    try:
        wait_for("an answer of 503", lambda: mended.get().status_code == 503)
        answer = mended.get()
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Retry-After"]
        assert re.search(r"<h1>Back in a moment</h1>", answer.text)
        assert "Try again" in answer.text
    finally:
        for name in mended.apps:
            mended.do(name, "systemctl start crm")
    mended.await_answer()


def test_without_the_mount_the_application_does_not_run(mended):
    absent = "/run/systemd/system/mnt-nas.mount.d/absent.conf"
    mended.do(
        "s3",
        f"mkdir -p $(dirname {absent}) && "
        f"printf '[Unit]\\nConditionPathExists=/nonexistent\\n' > {absent} && "
        "systemctl daemon-reload && systemctl stop crm mnt-nas.mount && systemctl start crm || :",
    )
    try:
        # It tries for ever, and says each time that there is nothing to bind.
        log = "journalctl -q -o cat -u crm -n 30"
        wait_for("the unit to refuse", lambda: "status=226/NAMESPACE" in mended.do("s3", log))
        assert mended.do("s3", "ss -Hltn '( sport = :3000 )'") == ""
        assert mended.do("s3", "find /mnt/nas /srv/crm/uploads -mindepth 1") == ""
    finally:
        mended.do("s3", f"rm {absent}; systemctl daemon-reload; systemctl start mnt-nas.mount")
    wait_for("s3 to come back by itself", lambda: backends(mended)["s3"] == "UP")


def test_the_volume_is_there_without_the_server_it_is_mounted_from(mended):
    mended.invoke("lab.stop", "nas1", "--kill")
    try:
        # Access freezes for ping-timeout, five seconds, and goes on.
        write = "echo kept > /mnt/nas/.test-gone && cat /mnt/nas/.test-gone"
        assert mended.do("s1", write, limit=20) == "kept\n"
        # A server that boots now asks the servers in reserve.
        mended.invoke("lab.stop", "s2", "--kill")
        mended.invoke("lab.start", "s2")
        wait_for("s2 to be back", lambda: backends(mended)["s2"] == "UP", 60)
        assert mended.do("s2", "cat /mnt/nas/.test-gone") == "kept\n"
    finally:
        mended.invoke("lab.start", "nas1")
    mended.await_healed()
    mended.do("s1", "rm /mnt/nas/.test-gone")


def test_a_database_that_was_away_is_used_again(mended):
    mended.do("bbdd", "systemctl restart postgresql@15-main")
    mended.await_answer()
    assert {mended.get("health").status_code for _ in range(9)} == {200}


def test_a_reload_of_the_balancer_keeps_connections(mended):
    with requests.Session() as browser:
        browser.trust_env = False
        before = browser.get(mended.scenario.url, timeout=5)
        for _ in range(3):
            mended.do("lb", "systemctl reload haproxy")
            answer = browser.get(mended.scenario.url, timeout=5)
            assert (answer.status_code, before.status_code) == (200, 200)
