"""The scenario of examples/pairs.py, with two machines of some tiers, and clients that ask on."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import requests

from fabfile.tiers import TIERS
from tests.lab import places

EVERY = 0.05  # seconds from one request to the next
LIMIT = 3  # of one try
AGAIN = 10  # seconds for which a request that failed is tried again


def entries(lab, *tiers: str) -> dict:
    """Return the entries of examples/pairs.py with pairs of these tiers, and one of the others.

    The one of another tier that could share an address has that for itself.
    """
    wanted = places.relocated(places.read(places.ROOT / "examples/pairs.py"))
    known = {tier for tier in TIERS if TIERS[tier].floats}
    for tier in (known & {*wanted["FLOATING"]}) - {*tiers}:
        first, *others = [n for n, m in wanted["MACHINES"].items() if m["tier"] == tier]
        wanted["MACHINES"][first].update(wanted["FLOATING"].pop(tier))
        for name in others:
            del wanted["MACHINES"][name]
    return {**lab.entries, "MACHINES": wanted["MACHINES"], "FLOATING": wanted["FLOATING"]}


@dataclass
class Asked:
    """What came of requests: when each began and was answered, and what was tried in vain."""

    answered: list[tuple[float, float]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)  # those that were tried again in vain

    @property
    def silence(self) -> float:
        """The longest time in seconds from an answer to the next one."""
        ends = sorted(end for _, end in self.answered)
        return max((after - before for before, after in pairwise(ends)), default=0)

    def __str__(self) -> str:
        return (
            f"{len(self.answered)} requests answered, {len(self.failures)} tries failed "
            f"({', '.join(sorted({*self.failures})) or 'none'}), {len(self.lost)} in vain; "
            f"longest silence {self.silence:.2f} s"
        )


@contextmanager
def asking(url: str) -> Iterator[Asked]:
    """Ask for a page during the block, by a new connection each, 20 times a second.

    A request that fails is tried again until it is answered, as people do.
    """
    asked, stop = Asked(), threading.Event()

    def ask() -> None:
        begun = time.monotonic()
        why = ""
        with requests.Session() as browser:
            browser.trust_env = False
            while time.monotonic() < begun + AGAIN:
                try:
                    answer = browser.get(url, timeout=LIMIT, headers={"Connection": "close"})
                    if answer.status_code == 200:
                        asked.answered.append((begun, time.monotonic()))
                        return
                    why = str(answer.status_code)
                except requests.RequestException as error:
                    why = type(error).__name__
                asked.failures.append(why)
                stop.wait(0.1)
        asked.lost.append(why)

    def work() -> None:
        while not stop.wait(EVERY):
            one = threading.Thread(target=ask)
            one.start()
            asking_now.append(one)

    asking_now: list[threading.Thread] = []
    driver = threading.Thread(target=work)
    driver.start()
    try:
        yield asked
    finally:
        stop.set()
        driver.join()
        for one in asking_now:
            one.join()
