"""Measures how long things take for a person, Python's start included, beside what was promised.

It is no test: a slow computer is no mistake. What makes the lab's machines from scratch is measured
only when asked for.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from invoke.exceptions import Exit
from rich.table import Table

from fabfile import pipeline
from fabfile.engine.converge import MachineErrors
from fabfile.engine.planning import make_plan
from fabfile.operations.progress import console, interruptible
from fabfile.operations.session import connected, furnish, scenario
from fabfile.scenario import ROOT, Scenario
from fabfile.tiers.app.sources import SourceError

RUNS = 7
PROGRAMS = Path(sys.executable).parent
FAB, INVOKE = str(PROGRAMS / "fab"), str(PROGRAMS / "invoke")


@dataclass(frozen=True)
class Step:
    """What is to be measured; `limit` is what it may take."""

    name: str
    limit: float | None
    measure: Callable[[], list[float]]
    unit: str = "s"


@dataclass(frozen=True)
class Figure:
    """What was measured: several values where it was done several times."""

    name: str
    limit: float | None
    unit: str
    values: list[float]

    @property
    def median(self) -> float:
        """The value in the middle."""
        return statistics.median(self.values)


def report(from_scratch: bool, images: bool, as_json: bool) -> None:
    """Measure on the scenario's own lab and print a table or JSON.

    Without `from_scratch` nothing is changed, and machines that are not as they should be are an
    error. The JSON holds cores, load (the average at the end) and figures: name, limit (null: none
    promised), unit ("" for a count) and values. Raises Exit when a measured command fails.
    """
    if images and not from_scratch:
        raise Exit("--images removes the machines, too: give --from-scratch with it.", 1)
    wanted = scenario()
    if not from_scratch:
        _settled(wanted)
    remedy = "The lab may be half made: lab.up and deploy bring it back." if from_scratch else ""
    steps = [
        *(_from_scratch(images) if from_scratch else ()),
        *_again(wanted),
        *(_whole() if from_scratch else ()),
    ]
    with interruptible(remedy):
        figures = [_measured(step) for step in steps]
    if as_json:
        print(json.dumps({**_computer(), "figures": [asdict(figure) for figure in figures]}))
        return
    console.print(_table(figures))
    console.print("{cores} cores, load average {load:.1f} at the end".format(**_computer()))
    if not from_scratch:
        console.print(
            "--from-scratch measures lab.up, first deploys and config.py, too: it removes the lab"
        )


def _measured(step: Step) -> Figure:
    # On stderr: what goes to stdout is for the table, or for a program.
    print(f"measuring: {step.name}", file=sys.stderr, flush=True)
    return Figure(step.name, step.limit, step.unit, step.measure())


def _from_scratch(images: bool) -> Iterator[Step]:
    """Return the steps that make the lab's machines from scratch, bare and then prepared."""
    if images:
        yield Step("images built, and lab.up", None, lambda: _after_down("--images"))
    yield Step("lab.up --bare", None, lambda: _after_down(bare=True))
    yield Step("first deploy of bare machines", 90, lambda: [_seconds(FAB, "deploy")])
    yield Step("lab.up", 8, _after_down)
    yield Step("first deploy of prepared machines", 20, lambda: [_seconds(FAB, "deploy")])


def _after_down(*options: str, bare: bool = False) -> list[float]:
    _seconds(INVOKE, "lab.down", *options)
    return [_seconds(INVOKE, "lab.up", *(["--bare"] if bare else []))]


def _again(wanted: Scenario) -> Iterator[Step]:
    """Return the steps that change nothing."""
    yield Step(
        "deploy with nothing to change", 1.5, lambda: [_seconds(FAB, "deploy") for _ in range(RUNS)]
    )
    yield Step("its round trips to a machine, at most", 3, lambda: [_settled(wanted)], unit="")
    yield Step("status", None, lambda: [_seconds(INVOKE, "status")])
    yield Step("verify", 20, lambda: [_seconds(INVOKE, "verify")])


def _whole() -> Iterator[Step]:
    def measure() -> list[float]:
        _seconds(INVOKE, "lab.down")
        return [_seconds("/usr/bin/python3", "config.py")]

    yield Step("python3 config.py, images there", 60, measure)


def _settled(wanted: Scenario) -> int:
    """Return how many round trips a look took; raises Exit when there is something to deploy."""
    furnish(wanted)
    stages = pipeline.stages(wanted)
    names = dict.fromkeys(name for stage in stages for name in stage.machines)
    with connected(wanted, list(names)) as remotes:
        try:
            plan = make_plan(stages, remotes, systems=wanted.systems)
        except (MachineErrors, SourceError) as error:
            raise Exit(f"{error}\nNothing was measured.", 1) from None
        trips = max(remote.round_trips for remote in remotes.values())
    if plan:
        raise Exit("The machines are not as config.py describes: deploy first.", 1)
    return trips


def _seconds(*command: str) -> float:
    """Return how long a command takes; raises Exit with its last lines when it fails."""
    begin = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seconds = time.monotonic() - begin
    if done.returncode:
        tail = "\n".join(f"    {line}" for line in done.stdout.decode().splitlines()[-10:])
        words = " ".join([Path(command[0]).name, *command[1:]])
        raise Exit(f"`{words}` failed with exit code {done.returncode}:\n{tail}", 1)
    return seconds


def _computer() -> dict[str, float]:
    return {"cores": os.cpu_count() or 0, "load": os.getloadavg()[0]}


def _table(figures: list[Figure]) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("what")
    for name in ("at most", "measured", "from", "to"):
        table.add_column(name, justify="right")
    for figure in figures:
        over = figure.limit is not None and figure.median > figure.limit
        several = len(figure.values) > 1
        table.add_row(
            figure.name,
            "" if figure.limit is None else _amount(figure.limit, figure.unit),
            f"[{'bold red' if over else 'green'}]{_amount(figure.median, figure.unit)}[/]",
            _amount(min(figure.values), figure.unit) if several else "",
            _amount(max(figure.values), figure.unit) if several else "",
        )
    return table


def _amount(value: float, unit: str) -> str:
    if not unit:
        return f"{value:.0f}"
    return f"{value:.2f} {unit}" if value < 10 else f"{value:.1f} {unit}"
