"""Says what happens as it happens: a live line a machine in a terminal, else plain lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Lock, Thread
from types import MappingProxyType

from invoke.exceptions import Exit
from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fabfile.engine.converge import DONE, FAILED, INTERRUPTED, LOOK
from fabfile.engine.words import counted

console = Console(highlight=False, soft_wrap=True)
# In plain lines: how long a step or a silence is before something is said about it.
LONG_SECONDS = 5
WAITS, NOT_STARTED = "waits", "not started"
# Of a machine on which nothing is being done.
STYLES = {
    DONE: "green",
    FAILED: "bold red",
    INTERRUPTED: "yellow",
    WAITS: "dim",
    NOT_STARTED: "yellow",
}
# Of a program that Ctrl-C ended: 128 and the number of SIGINT.
INTERRUPT_CODE = 130


def hide(text: str, secrets: list[str]) -> str:
    """Return the text with each secret in it replaced by asterisks."""
    for secret in secrets:
        text = text.replace(secret, "********")
    return text


@contextmanager
def interruptible(remedy: str) -> Iterator[None]:
    """Turn Ctrl-C in the block into Exit with one sentence and the exit code of an interrupt."""
    try:
        yield
    except KeyboardInterrupt:
        raise Exit(f"Interrupted. {remedy}", INTERRUPT_CODE) from None


@dataclass
class _Line:
    """What a machine is at; `seconds` is what it took until its stage ended."""

    stage: str
    summary: str
    since: float
    seconds: float = 0.0

    def age(self) -> float:
        """Return for how long it has been at it; 0 when nothing is being done."""
        return 0.0 if self.summary in STYLES else time.monotonic() - self.since

    def text(self, width: int) -> Text:
        """Return the line, cut to the width."""
        seconds = self.seconds or self.age()
        line = Text(f"{self.stage:9} {self.summary}", STYLES.get(self.summary, ""))
        line.truncate(max(width - 7, 10), overflow="ellipsis", pad=True)
        return line.append(f"{seconds:5.0f} s" if seconds >= 1 else " " * 7, "dim")


class Progress:
    """What each machine is doing, and for how long.

    `todo` names the stages that each machine has before it, in their order; a machine that is
    not in it appears with its first step.
    """

    def __init__(self, todo: Mapping[str, Sequence[str]] = MappingProxyType({})) -> None:
        now = time.monotonic()
        self._todo = {machine: list(stages) for machine, stages in todo.items()}
        self._lines = {machine: _Line(stages[0], WAITS, now) for machine, stages in todo.items()}
        self._began: dict[tuple[str, str], float] = {}
        self._start = self._told = now
        self._pause = LONG_SECONDS
        self._lock = Lock()

    def step(self, machine: str, stage: str, summary: str) -> None:
        """Note that a machine begins a step; the last of a stage is how it ended."""
        now = time.monotonic()
        with self._lock:
            began = self._began.setdefault((machine, stage), now)
            self._lines.setdefault(machine, _Line(stage, summary, now))
            if stage != LOOK and not console.is_terminal:
                self._tell(machine, stage, summary, now - began)
            left = self._todo.get(machine, [])
            if summary == DONE and stage in left:
                left.remove(stage)
            if summary not in STYLES:
                self._lines[machine] = _Line(stage, summary, now)
            elif self._lines[machine].stage == stage:
                # Another stage may be at work there: its line stays.
                waits = summary == DONE and left
                self._lines[machine] = (
                    _Line(left[0], WAITS, now)
                    if waits
                    else _Line(stage, summary, now, now - self._start)
                )

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the lines while the block runs."""
        with self._live(self._table) if console.is_terminal else self._watched():
            try:
                yield
            finally:
                self._end()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Say while the block runs which machines it waits for, in a line that goes away."""
        with self._live(self._waiting, True) if console.is_terminal else self._watched():
            yield

    def _live(self, renderable: Callable[[], RenderableType], transient: bool = False) -> Live:
        return Live(
            get_renderable=renderable, console=console, refresh_per_second=8, transient=transient
        )

    def _end(self) -> None:
        with self._lock:
            for line in self._lines.values():
                line.summary = NOT_STARTED if line.summary == WAITS else line.summary

    def _table(self) -> Table:
        with self._lock:
            lines = dict(self._lines)
        room = console.height - 2
        # Those at work come first where there are more machines than room.
        busy = {name: line for name, line in lines.items() if line.summary not in STYLES}
        order = lines if len(lines) <= room else {**busy, **lines}
        shown = list(order.items())[: room if len(lines) <= room else room - 1]
        width = max(map(len, lines), default=0)
        table = Table.grid(padding=(0, 2))
        for name, line in shown:
            # Two columns are left for the terminal's own ^C, which must not begin a new line.
            table.add_row(f"{name:{width}}", line.text(console.width - width - 5))
        if len(shown) < len(lines):
            table.add_row(
                "", Text(f"and {counted(len(lines) - len(shown), 'more machine')}", "dim")
            )
        return table

    def _waiting(self) -> Text:
        with self._lock:
            ages = {name: line.age() for name, line in self._lines.items()}
        late = [f"{name} ({age:.0f} s)" for name, age in ages.items() if age >= 1]
        line = Text(f"looking at {counted(len(ages), 'machine')}", "dim")
        line.append(f", waiting for {', '.join(late)}" if late else "")
        line.truncate(console.width - 3, overflow="ellipsis")
        return line

    def _tell(self, machine: str, stage: str, summary: str, seconds: float) -> None:
        line = self._lines[machine]
        if (
            line.stage == stage
            and line.age() >= LONG_SECONDS
            and summary not in (FAILED, INTERRUPTED)
        ):
            self._say(f"{machine:6} {stage:9} {line.summary}: took {line.age():.0f} s")
        said = f"{summary} ({seconds:.1f} s)" if summary in STYLES else summary
        self._say(f"{machine:6} {stage:9} {said}")
        self._told, self._pause = time.monotonic(), LONG_SECONDS

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Break a long silence of the block with a line, again after twice as long."""
        ended = Event()

        def watch() -> None:
            while not ended.wait(0.5):
                with self._lock:
                    busy = [
                        f"{name} ({line.stage}, {line.age():.0f} s)"
                        for name, line in self._lines.items()
                        if line.age() >= 1
                    ]
                    if busy and time.monotonic() - self._told >= self._pause:
                        self._pause *= 2
                        self._say(f"still at work: {', '.join(busy)}")

        watcher = Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()

    def _say(self, text: str) -> None:
        console.print(text, markup=False)
