"""What the benchmark refuses, and how its table reads; what it measures needs a lab."""

import sys

import pytest
from invoke.exceptions import Exit
from rich.console import Console

from fabfile.operations.benchmark import Figure, _seconds, _table, report


def test_images_are_not_removed_unless_the_machines_may_be():
    with pytest.raises(Exit, match="--images removes the machines, too"):
        report(from_scratch=False, images=True, as_json=False)


def test_a_command_that_fails_is_told_with_its_last_lines():
    with pytest.raises(Exit) as caught:
        _seconds(sys.executable, "-c", "print('it broke'); raise SystemExit(3)")
    assert "failed with exit code 3:\n    it broke" in caught.value.message


def test_the_table_shows_limit_median_and_range_and_what_is_over():
    figures = [
        Figure("quick", 1.5, "s", [3.0, 1.0, 1.25]),
        Figure("slow", 8, "s", [12.34]),
        Figure("trips", 3, "", [1]),
    ]
    console = Console(width=80, force_terminal=True, color_system="standard")
    with console.capture() as captured:
        console.print(_table(figures))
    quick, slow, trips = captured.get().splitlines()[1:]
    assert "31m" not in quick and "31m" in slow and "31m" not in trips
    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        console.print(_table(figures))
    rows = [line.split() for line in captured.get().splitlines()[1:]]
    assert rows[0] == ["quick", "1.50", "s", "1.25", "s", "1.00", "s", "3.00", "s"]
    assert rows[1] == ["slow", "8.00", "s", "12.3", "s"]
    assert rows[2] == ["trips", "3", "1"]
