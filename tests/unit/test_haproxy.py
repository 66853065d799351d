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


def rows(*servers: tuple[str, int, str]) -> str:
    """Return what `show stat` says of servers: name, sessions, status."""
    lines = [f"app,{name},0,0,{busy}{',' * 13}{status}" for name, busy, status in servers]
    return "\n".join(["# pxname,svname", *lines, "app,BACKEND,0,0,9", ""])


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


CHECKED = """# pxname,svname,,,,,,,,,,,,,,,,status,addr,check_status,check_code,check_desc
app,s1,,,,,,,,,,,,,,,,UP,10.1.3.11:3000,L7OK,200,Layer7 check passed
app,s2,,,,,,,,,,,,,,,,DOWN,10.1.3.12:3000,L4TOUT,,Layer4 timeout
app,s3,,,,,,,,,,,,,,,,UP,10.1.3.13:3000,INI,,Initializing
app,s5,,,,,,,,,,,,,,,,DOWN 1/2,10.1.3.15:3000,L7STS,503,Layer7 wrong status
app,BACKEND,,,,,,,,,,,,,,,,UP,,,,
"""


def test_what_it_says_of_servers_that_are_not_up(haproxy):
    assert haproxy("unseen s1", show_stat=CHECKED).stdout == ""
    assert haproxy("unseen s1 s2 s3 s4 s5", show_stat=CHECKED).stdout.splitlines() == [
        "HAProxy has s2 (10.1.3.12:3000) as DOWN, Layer4 timeout",
        "HAProxy has s3 (10.1.3.13:3000) as not checked so far",
        "HAProxy has no server s4",
        "HAProxy has s5 (10.1.3.15:3000) as DOWN 1/2, Layer7 wrong status 503",
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
