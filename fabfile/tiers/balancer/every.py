"""What is said to all balancers that there are, since any of them may be the one that serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import TypeVar

from fabfile.engine.remote import Absent, MachineError, Remote
from fabfile.scenario import Scenario
from fabfile.tiers.balancer import haproxy

Answer = TypeVar("Answer")


@contextmanager
def connected(scenario: Scenario) -> Iterator[list[Remote]]:
    """Give a connection to each balancer that is there, for the block."""
    with ExitStack() as opened:
        yield [
            opened.enter_context(closing(Remote(each.name, each.ssh)))
            for each in scenario.present("balancer")
        ]


def drain(
    lbs: Sequence[Remote],
    server: str,
    seconds: int = haproxy.DRAIN_SECONDS,
    say: Callable[[str], None] = lambda words: None,
) -> list[str]:
    """Have no balancer give a server requests, as haproxy.drain; return what a person should know.

    Raises MachineError when one refuses, or none can be reached.
    """
    found = _each(lbs, lambda lb: haproxy.drain(lb, server, seconds, say))
    several = len(lbs) > 1
    return [
        f"{name}: {words}" if several else words
        for name, how in found.items()
        if (words := how.said(server))
    ]


def ready(lbs: Sequence[Remote], server: str, wait: bool = True) -> None:
    """Have all balancers give a server clients again, as haproxy.ready.

    Raises MachineError when one does not, or none can be reached.
    """
    _each(lbs, lambda lb: haproxy.ready(lb, server, wait))


def statuses(lbs: Sequence[Remote]) -> dict[str, str]:
    """Return what balancers think of each server, as haproxy.statuses: up where one sees it up."""
    found: dict[str, str] = {}
    for seen in _each(lbs, haproxy.statuses).values():
        up = {name for name, status in found.items() if status.startswith("UP")}
        found |= {name: status for name, status in seen.items() if name not in up}
    return found


def _each(lbs: Sequence[Remote], work: Callable[[Remote], Answer]) -> dict[str, Answer]:
    """Return what all say that can be reached; raises MachineError."""
    found: dict[str, Answer] = {}
    absent: list[MachineError] = []

    def ask(lb: Remote) -> None:
        try:
            found[lb.name] = work(lb)
        except MachineError as error:
            if not isinstance(error, Absent) and not _is_away(lb):
                raise
            absent.append(error)

    if len(lbs) == 1:
        return {lbs[0].name: work(lbs[0])}
    with ThreadPoolExecutor(len(lbs)) as pool:
        list(pool.map(ask, lbs))
    if not found:
        raise absent[0]
    return found


def _is_away(lb: Remote) -> bool:
    """Tell whether nobody answers any more on a machine whose connection broke."""
    with closing(Remote(lb.name, lb.login)) as again:
        try:
            again.connect()
        except Absent:
            return True
        except MachineError:
            return False
    return False
