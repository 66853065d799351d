"""HAProxy's runtime API as shell functions, before a program that answers as HAProxy does."""

import os
import subprocess
from types import SimpleNamespace

import pytest

from fabfile.engine.remote import MachineError, Output
from fabfile.tiers.balancer.haproxy import LIBRARY, Drained, drain

# Stands in for socat: answers what the file of that command holds; each `set server` makes a note.
SOCAT = """#!/bin/sh
read -r command
echo "$command" >>"$0.asked"
name=$(echo "$command" | tr ' /' __)
cat "$0.$name" 2>/dev/null || :
"""


def rows(*servers: tuple[str, int, str], backend: str = "app") -> str:
    """Return what `show stat` says of servers: name, sessions, status."""
    lines = [f"{backend},{name},0,0,{busy}{',' * 13}{status}" for name, busy, status in servers]
    return "\n".join(["# pxname,svname", *lines, f"{backend},BACKEND,0,0,9{',' * 13}UP", ""])


@pytest.fixture
def haproxy(tmp_path):
    """Give a function that runs shell with HAProxy's functions, where commands are answered so."""
    socat = tmp_path / "socat"
    socat.write_text(SOCAT)
    socat.chmod(0o755)

    def run(script: str, **answers: str) -> subprocess.CompletedProcess:
        for command, answer in answers.items():
            (tmp_path / f"socat.{command}").write_text(answer)
        path = f"{tmp_path}:{os.environ['PATH']}"
        return subprocess.run(
            ["sh"],
            input=LIBRARY + script,
            text=True,
            env={**os.environ, "PATH": path},
            capture_output=True,
            timeout=20,
        )

    return run


def test_it_waits_until_a_server_is_up(haproxy):
    assert haproxy("ready s1 1", show_stat=rows(("s1", 0, "UP"))).returncode == 0
    done = haproxy("ready s1 1", show_stat=rows(("s1", 0, "DOWN")))
    assert done.returncode == 1
    assert done.stdout.strip().endswith("s for s1 to be up in HAProxy; last seen: DOWN")


CHECKED = """# pxname,svname,,,,,,,,,,,,,,,,status,addr,check_status,check_code,check_desc,last_chk
app,s1,,,,,,,,,,,,,,,,UP,10.1.3.11:3000,L7OK,200,Layer7 check passed
app,s2,,,,,,,,,,,,,,,,DOWN,10.1.3.12:3000,L4TOUT,,Layer4 timeout
app,s3,,,,,,,,,,,,,,,,UP,10.1.3.13:3000,INI,,Initializing
app,s5,,,,,,,,,,,,,,,,DOWN 1/2,10.1.3.15:3000,L7STS,503,Layer7 wrong status
app,s6,,,,,,,,,,,,,,,,DOWN,10.1.3.16:3000,L7STS,500,Layer7 wrong status,Oh no comment: /login
app,BACKEND,,,,,,,,,,,,,,,,UP,,,,
app-alive,s6,,,,,,,,,,,,,,,,UP,10.1.3.16:3000,L7OK,200,Layer7 check passed
"""


def test_what_it_says_of_servers_that_are_not_up(haproxy):
    assert haproxy("unseen s1", show_stat=CHECKED).stdout == ""
    assert haproxy("unseen s1 s2 s3 s4 s5 s6", show_stat=CHECKED).stdout.splitlines() == [
        "HAProxy has s2 (10.1.3.12:3000) as DOWN, Layer4 timeout",
        "HAProxy has s3 (10.1.3.13:3000) as not checked so far",
        "HAProxy has no server s4",
        "HAProxy has s5 (10.1.3.15:3000) as DOWN 1/2, Layer7 wrong status 503",
        "HAProxy has s6 (10.1.3.16:3000) as DOWN, Layer7 wrong status 500 at /login",
    ]
    assert haproxy("unseen s1", show_stat="").stdout == "HAProxy has no server s1\n"
    done = haproxy("seen 1 s1 s2", show_stat=CHECKED)
    assert (done.returncode, "s2" in done.stdout, "s1" in done.stdout) == (1, True, False)
    assert haproxy("seen 1 s1", show_stat=CHECKED).returncode == 0


def test_what_haproxy_refuses_is_said(haproxy):
    done = haproxy("ready s1 1", set_server_app_s1_state_ready="No such server.\n")
    assert done.returncode == 1
    said = "HAProxy answers 'set server app/s1 state ready' with: No such server."
    assert done.stdout.strip() == said


OTHER = ("s2", 0, "UP")


@pytest.mark.parametrize(
    ("info", "servers", "drained"),
    [
        ("Uptime: 9", [("s1", 0, "UP"), OTHER], Drained.EMPTY),
        ("Uptime: 9", [("s1", 3, "UP"), OTHER], Drained.LEFT),
        ("Uptime: 9", [("s1", 0, "UP"), ("s2", 0, "MAINT")], Drained.ONLY),
        ("Uptime: 9", [OTHER], Drained.ABSENT),
        ("", [], Drained.SILENT),
    ],
)
def test_how_a_server_was_drained_is_told_by_the_exit_code(haproxy, info, servers, drained):
    def run(script: str, seconds: float) -> Output:
        done = haproxy(script, show_info=info, show_stat=rows(*servers))
        return Output(done.returncode, done.stdout)

    assert drain(SimpleNamespace(name="lb", run=run), "s1", 1) is drained
    assert bool(drained.said("s1")) is (drained is not Drained.EMPTY)


def test_a_server_that_haproxy_does_not_drain_is_an_error(haproxy):
    def run(script: str, seconds: float) -> Output:
        refused = {"set_server_app_s1_state_drain": "No such server.\n"}
        stat = rows(("s1", 0, "UP"), OTHER)
        done = haproxy(script, show_info="Uptime: 9", show_stat=stat, **refused)
        return Output(done.returncode, done.stdout)

    with pytest.raises(MachineError, match=r"lb: HAProxy answers .* with: No such server"):
        drain(SimpleNamespace(name="lb", run=run), "s1", 1)


def test_a_server_is_removed_when_its_requests_have_ended(haproxy):
    deleted = {"del_server_app_s1": "Server deleted.\n"}
    assert haproxy("remove s1 1", show_stat=rows(("s1", 0, "UP")), **deleted).returncode == 0


def both(*servers: tuple[str, int, str, str]) -> str:
    """Return what `show stat` says of servers with two statuses: by all pages, by the first."""
    deep = rows(*((name, busy, status) for name, busy, status, _ in servers))
    alive = rows(*((name, 2, status) for name, _, _, status in servers), backend="app-alive")
    return deep + alive


@pytest.mark.parametrize(
    ("servers", "statuses", "shown"),
    [
        (
            [("s1", 0, "DOWN", "UP"), ("s2", 1, "UP", "UP"), ("s3", 0, "DOWN 1/2", "DOWN")],
            "s1 DOWN\ns2 UP\ns3 DOWN 1/2\n",
            "s1: DOWN (of its pages, the first answers), 2 sessions\n"
            "s2: UP, 3 sessions\ns3: DOWN 1/2, 2 sessions\n",
        ),
        (
            [("s1", 0, "DOWN", "UP"), ("s2", 1, "MAINT", "MAINT"), ("s3", 0, "DOWN", "DOWN")],
            "s1 UP\ns2 MAINT\ns3 DOWN\n",
            "s1: UP (by its first page: no server answers all), 2 sessions\n"
            "s2: MAINT, 3 sessions\ns3: DOWN, 2 sessions\n",
        ),
    ],
)
def test_a_server_that_answers_its_first_page_serves_when_none_answers_all(
    haproxy, servers, statuses, shown
):
    assert haproxy("statuses", show_stat=both(*servers)).stdout == statuses
    assert haproxy("shown", show_stat=both(*servers)).stdout == shown


@pytest.mark.parametrize(
    ("other", "code"),
    [(("UP", "UP"), 1), (("DOWN", "UP"), 1), (("DOWN", "DOWN"), 0), (("MAINT", "MAINT"), 0)],
)
def test_the_last_server_that_could_serve_is_alone(haproxy, other, code):
    stat = both(("s1", 0, "UP", "UP"), ("s2", 0, *other))
    assert haproxy("alone s1", show_stat=stat).returncode == code


def test_what_is_done_to_a_server_is_done_in_both_backends(haproxy, tmp_path):
    stat = both(("s1", 0, "UP", "UP"), ("s2", 0, "UP", "UP"))
    done = haproxy("maintain s1 1; ready s1 1", show_stat=stat)
    assert "requests of s1 to end; last seen: 2" in done.stdout
    added = {f"add_server_{each}_s4_10.1.3.14:3000_check" for each in ("app", "app-alive")}
    registered = dict.fromkeys(added, "New server registered.\n")
    done = haproxy("add s4 10.1.3.14:3000 check", show_stat=stat, **registered)
    assert done.returncode == 0, done.stdout
    asked = (tmp_path / "socat.asked").read_text().splitlines()
    assert [line for line in asked if line != "show stat"] == [
        f"{command} {each}/{rest}"
        for command, rest in (
            ("set server", "s1 state drain"),
            ("shutdown sessions server", "s1"),
            ("set server", "s1 state maint"),
            ("set server", "s1 state ready"),
        )
        for each in ("app", "app-alive")
    ] + [
        line
        for each in ("app", "app-alive")
        for line in (f"add server {each}/s4 10.1.3.14:3000 check", f"enable health {each}/s4")
    ]
