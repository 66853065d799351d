"""Says what happens as it happens: a live line a machine in a terminal, else plain lines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console
from rich.live import Live
from rich.table import Table

console = Console(highlight=False, soft_wrap=True)


def hide(text: str, secrets: list[str]) -> str:
    """Answer the text with each secret in it replaced by asterisks."""
    for secret in secrets:
        text = text.replace(secret, "********")
    return text


class Progress:
    """One line a machine: what it is doing, and for how long."""

    def __init__(self) -> None:
        self._doing: dict[str, tuple[str, str, float]] = {}
        self._lock = Lock()

    def step(self, machine: str, stage: str, summary: str) -> None:
        """Note that a machine begins a step; an empty summary ends its stage."""
        with self._lock:
            self._doing[machine] = (stage, summary or "done", time.monotonic())
            if summary and not console.is_terminal:
                console.print(f"{machine:6} {stage:9} {summary}", markup=False)

    def __rich__(self) -> Table:
        table = Table.grid(padding=(0, 2))
        with self._lock:
            for machine, (stage, summary, since) in sorted(self._doing.items()):
                seconds = "" if summary == "done" else f"{time.monotonic() - since:.0f} s"
                table.add_row(machine, stage, summary, seconds)
        return table

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the lines while the block runs."""
        if console.is_terminal:
            with Live(self, console=console, refresh_per_second=8):
                yield
        else:
            yield
