"""What the users see, and what the machines do, when something stops working."""

import re
import shlex

import pytest
import requests

from fabfile.tiers.app import health
from tests.lab.commands import wait_for
from tests.lab.places import VERSION
from tests.lab.scaled import statuses

MAIN_PID = "systemctl show -P MainPID crm.service"


@pytest.fixture(autouse=True)
def whole(repaired):
    """Begin and end each test with an application that answers from every server."""
    yield repaired
    wait_for("all servers up", lambda: set(statuses(repaired).values()) == {"UP"})


def test_a_process_that_dies_is_started_again(repaired):
    before = repaired.do("s1", MAIN_PID)
    repaired.do("s1", "systemctl kill -s KILL crm")
    running = "systemctl is-active crm"
    wait_for("crm to run again", lambda: repaired.do("s1", MAIN_PID) not in (before, "0\n"))
    wait_for("crm to be active", lambda: repaired.do("s1", running, code=None) == "active\n")


@pytest.mark.parametrize(
    ("name", "unit", "also"),
    [
        ("s1", "crm.service", ["wait for crm.service to be healthy"]),
        ("lb", "haproxy.service", ["wait until HAProxy sees s1, s2, s3 up"]),
        ("nas3", "glusterd.service", []),
    ],
)
def test_processes_that_hang_are_restarted_by_deploy(repaired, name, unit, also):
    main = f"systemctl show -P MainPID {unit}"
    before = repaired.do(name, main)
    repaired.do(
        name, f"systemctl kill --kill-whom={'main' if 'gluster' in unit else 'all'} -s STOP {unit}"
    )
    planned = [(where, action) for where, action in repaired.planned() if where == name]
    assert planned == [(name, action) for action in [f"restart {unit}", *also]]
    repaired.fab("deploy")
    assert repaired.do(name, main) not in (before, "0\n")
    repaired.await_healed()


def test_what_a_restart_does_not_cure_is_said_and_restarts_nothing(repaired):
    pids = [repaired.do(name, MAIN_PID) for name in repaired.apps]
    repaired.do("bbdd", "ip link set lan4 down")
    try:
        wait_for("health to miss the database", lambda: repaired.get("health").status_code == 503)
        planned = repaired.planned()
        said = "wait for crm.service to be healthy"
        assert [change for change in planned if change[1] == said] == [
            (name, said) for name in repaired.apps
        ]
        assert not [action for _, action in planned if "start" in action], planned
    finally:
        repaired.do("bbdd", "ip link set lan4 up")
    repaired.await_answer()
    assert [repaired.do(name, MAIN_PID) for name in repaired.apps] == pids


@pytest.mark.parametrize(
    ("name", "unit", "port", "program"),
    [("s2", "crm", 3000, "python3"), ("lb", "haproxy", 80, "socat")],
)
def test_a_stranger_on_a_port_is_named_before_anything_is_changed(
    repaired, name, unit, port, program
):
    answer = "HTTP/1.0 200 OK\r\n\r\n"
    serve = {
        "python3": f"import socket; s = socket.create_server(('', {port}))\n"
        f"while True: c = s.accept()[0]; c.sendall({answer!r}.encode()); c.close()",
        "socat": f"TCP-LISTEN:{port},fork,reuseaddr",
    }[program]
    words = ("python3", "-c", serve) if program == "python3" else ("socat", serve, "SYSTEM:cat")
    repaired.do(name, f"systemctl stop {unit}")
    repaired.do(name, f"systemd-run -q --collect --unit=stranger {shlex.join(words)}")
    try:
        listens = f"ss -Hltn 'sport = :{port}'"
        wait_for("the stranger to listen", lambda: repaired.do(name, listens))
        done = repaired.fab("deploy", code=1)
        pid = repaired.do(name, "systemctl show -P MainPID stranger").strip()
        assert done.text.strip() == (
            f"{name}: port {port} is taken by {program} (process {pid} of stranger.service); "
            "stop that or choose another port: PORTS in config.py\nNothing was changed."
        )
        # It answers 200, and that is not the health of ours.
        condition = health.healthy(f"{unit}.service", port, ["/health"])
        assert f"port {port} is not" in repaired.do(name, condition, code=1)
    finally:
        repaired.do(name, f"systemctl stop stranger; systemctl start {unit}")
    repaired.await_answer()


def test_one_server_less_is_not_noticed(repaired):
    repaired.do("s2", "systemctl stop crm")
    try:
        answers = [repaired.get("health") for _ in range(30)]
        assert {answer.status_code for answer in answers} == {200}
        wait_for("lb to see that s2 is down", lambda: "DOWN" in statuses(repaired)["s2"])
        served = {repaired.get("health").headers["X-Served-By"] for _ in range(6)}
        assert served == {"s1", "s3"}
    finally:
        repaired.do("s2", "systemctl start crm")


def test_without_any_server_users_get_a_page_they_can_read(repaired):
    for name in repaired.apps:
        repaired.do(name, "systemctl stop crm")
    try:
        wait_for("an answer of 503", lambda: repaired.get().status_code == 503)
        answer = repaired.get()
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert answer.headers["Retry-After"]
        assert re.search(r"<h1>Back in a moment</h1>", answer.text)
        assert "Try again" in answer.text
    finally:
        for name in repaired.apps:
            repaired.do(name, "systemctl start crm")
    repaired.await_answer()


def test_without_the_mount_the_application_does_not_run(repaired):
    absent = "/run/systemd/system/mnt-nas.mount.d/absent.conf"
    repaired.do(
        "s3",
        f"mkdir -p $(dirname {absent}) && "
        f"printf '[Unit]\\nConditionPathExists=/nonexistent\\n' > {absent} && "
        "systemctl daemon-reload && systemctl stop crm mnt-nas.mount && systemctl start crm || :",
    )
    try:
        # It tries for ever, and says each time that there is nothing to bind.
        log = "journalctl -q -o cat -u crm -n 30"
        wait_for("the unit to refuse", lambda: "status=226/NAMESPACE" in repaired.do("s3", log))
        assert repaired.do("s3", "ss -Hltn '( sport = :3000 )'") == ""
        assert repaired.do("s3", "find /mnt/nas /srv/crm/uploads -mindepth 1") == ""
    finally:
        repaired.do("s3", f"rm {absent}; systemctl daemon-reload; systemctl start mnt-nas.mount")
    wait_for("s3 to come back by itself", lambda: statuses(repaired)["s3"] == "UP")


def test_the_volume_is_there_without_the_server_it_is_mounted_from(repaired):
    repaired.invoke("lab.stop", "nas1", "--kill")
    try:
        # Access freezes for ping-timeout, five seconds, and goes on.
        write = "echo kept > /mnt/nas/.test-gone && cat /mnt/nas/.test-gone"
        assert repaired.do("s1", write, limit=20) == "kept\n"
        # A server that boots now asks the servers in reserve.
        repaired.invoke("lab.stop", "s2", "--kill")
        repaired.invoke("lab.start", "s2")
        wait_for("s2 to be back", lambda: statuses(repaired)["s2"] == "UP", 60)
        assert repaired.do("s2", "cat /mnt/nas/.test-gone") == "kept\n"
    finally:
        repaired.invoke("lab.start", "nas1")
    repaired.await_healed()
    repaired.do("s1", "rm /mnt/nas/.test-gone")


def test_a_database_that_was_away_is_used_again(repaired):
    repaired.do("bbdd", f"systemctl restart postgresql@{VERSION}-main")
    repaired.await_answer()
    assert {repaired.get("health").status_code for _ in range(9)} == {200}


def test_a_reload_of_the_balancer_keeps_connections(repaired):
    with requests.Session() as browser:
        browser.trust_env = False
        before = browser.get(repaired.scenario.url, timeout=5)
        for _ in range(3):
            repaired.do("lb", "systemctl reload haproxy")
            answer = browser.get(repaired.scenario.url, timeout=5)
            assert (answer.status_code, before.status_code) == (200, 200)
