"""What `status` asks of machines, and how its table reads."""

import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from rich.console import Console

from fabfile.operations.status import Status
from fabfile.pipeline import PIPELINE
from fabfile.tiers import TIERS

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
        console.print(status._table(rows))
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
