"""What `status` asks of machines, and how its table reads."""

import subprocess
import sys
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from rich.console import Console

from fabfile.engine.remote import Output
from fabfile.operations.status import Status
from fabfile.pipeline import PIPELINE
from fabfile.tiers import TIERS
from fabfile.tiers.tier import View

# The package offers the task under the same name.
status = sys.modules["fabfile.operations.status"]


def test_every_tier_that_is_deployed_has_a_view():
    for tier in {step.tier for step in PIPELINE if step.tier}:
        assert TIERS[tier].room("state").view


def test_the_shell_of_every_machine_can_be_read(scenario):
    for machine in scenario.machines:
        script = status._script(scenario, machine)
        done = subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("width", [80, 120])
def test_a_row_is_not_broken_into_more_lines_than_it_has_entries(monkeypatch, width):
    console = Console(width=width, color_system=None, force_terminal=True)
    monkeypatch.setattr(status, "console", console)
    rows = [
        Status(
            "bbdd",
            "database",
            {"lan4": "10.1.4.31", "management": "10.250.0.31"},
            (datetime.now().astimezone() - timedelta(minutes=59)).isoformat(),
            59 * 60,
            "running",
            {"postgresql@15-main.service": "failed", "mnt-nas.mount": "active"},
            {"bricks": "3 of 3 up"},
        ),
        Status("nas1", "storage", {"lan4": "10.1.4.21"}, error="no answer"),
    ]
    with console.capture() as captured:
        status._show(rows)
    text = captured.get()
    assert len(text.splitlines()) == 4, text
    assert "bricks: 3 of 3 up" in text
    assert "postgresql failed" in text
    assert "not reached" in text
    assert "10.250.0.31" not in text


@pytest.mark.parametrize(
    ("ago", "said"), [(5, "(5 s)"), (180, "(3 min)"), (7200, "(2 h)"), (3 * 86400, "(3 d)")]
)
def test_since_says_how_long_a_machine_is_up(ago, said):
    start = datetime.now().astimezone() - timedelta(seconds=ago)
    row = Status("s1", "app", {}, start.isoformat(), ago)
    assert status._since(row).endswith(said)
    assert (f"{start:%d %b}" in status._since(row)) == (start.date() != datetime.now().date())


def test_what_two_tiers_of_a_machine_see_of_one_server_is_told_of_both(
    entries, read, monkeypatch
) -> None:
    entries["MACHINES"]["s1"].pop("tier")
    entries["MACHINES"]["s1"]["tiers"] = ["app", "database"]
    del entries["MACHINES"]["bbdd"]
    views = [View((), "echo 's1: UP'", "app"), View((), "echo 's1: 2 connections'", "database")]
    monkeypatch.setattr(status, "views_of", lambda *_: [*views, View((), "echo 'rules: loaded'")])
    monkeypatch.setattr(status, "COMMON", "")

    def run(script, seconds):
        done = subprocess.run(["sh"], input=script, text=True, capture_output=True)
        return Output(done.returncode, done.stdout)

    def seen(name):
        return status._status(read(), SimpleNamespace(name=name, run=run)).sees

    rules = {"rules": "loaded"}
    assert seen("s1") == {"app s1": "UP", "database s1": "2 connections", **rules}
    # Who is of one tier has the names as that tier has them.
    assert seen("s2").keys() == {"s1", "rules"}


def test_each_view_knows_its_tier_and_the_rules_of_a_machine_are_nobodys(entries, read) -> None:
    entries["MACHINES"] = {k: v for k, v in entries["MACHINES"].items() if k != "fw"}
    scenario = read()
    assert [view.tier for view in status.views_of(scenario, scenario.machine("lb"))] == [
        "balancer",
        "",
    ]


def test_in_a_pipe_nothing_is_cut_and_maintenance_is_seen(monkeypatch, capsys) -> None:
    monkeypatch.setattr(status, "console", Console(width=40))
    unit = "a-unit-whose-name-is-longer-than-any-column-of-a-terminal.timer"
    row = Status("s2", "app", {"lan3": "10.1.3.12"}, services={unit: "active"}, maintenance=True)
    status._show([row])
    lines = capsys.readouterr().out.splitlines()
    assert unit in lines[1] and "in maintenance" in lines[2]
