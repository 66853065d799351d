"""The scenario of examples/pairs.py, with two machines of some tiers, and clients that ask on."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import pairwise

import requests

from fabfile.scenario import Scenario, load
from fabfile.tiers import TIERS
from tests.lab import places
from tests.lab.apart import Apart
from tests.lab.commands import wait_for

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
        shared = wanted["FLOATING"].pop(tier)
        # A database that was alone keeps its own, and those who ask it learn another one.
        wanted["MACHINES"][first].update({} if tier == "database" else shared)
        for name in others:
            del wanted["MACHINES"][name]
    found = {**lab.entries, "MACHINES": wanted["MACHINES"], "FLOATING": wanted["FLOATING"]}
    if "database" in tiers:
        found["APPLICATION"]["pool"] = "transaction"
    return found


class Pair(Apart):
    """The scenario of a pair, and who of the two has what they share.

    A class for each `tier` says `works`: shell that succeeds where a machine could serve.
    """

    tier = ""
    works = ""

    @property
    def scenario(self) -> Scenario:
        """The scenario as it is now."""
        return load(self.config)

    @property
    def names(self) -> tuple[str, ...]:
        """Both machines."""
        machines = self.entries["MACHINES"]
        return tuple(name for name in machines if machines[name]["tier"] == self.tier)

    @property
    def addresses(self) -> list[str]:
        """What they share."""
        return [*self.entries["FLOATING"][self.tier].values()]

    @contextmanager
    def deployed(self) -> Iterator["Pair"]:
        """Start and deploy the machines for the block, which begins once both would serve."""
        with self.started():
            self.task("fab", "deploy")
            self.settled()
            yield self

    def assert_as_it_was(self) -> None:
        """See that both would serve, and that there is nothing to repair."""
        self.settled()
        assert "0 changes" in self.task("fab", "deploy")

    def holders(self, among: Sequence[str] = ()) -> list[str]:
        """Return who has any of the addresses, of those that run."""
        command = "".join(f"ip -o -4 addr show to {each}/32\n" for each in self.addresses)
        return [name for name in among or self.names if self.do(name, command)]

    def settled(self) -> tuple[str, str]:
        """Return who has the addresses and who has not, once one has and both would serve."""
        found: list[str] = []

        def one() -> bool:
            found[:] = self.holders()
            works = f"{self.works} >/dev/null && echo works || :"
            return len(found) == 1 and all("works" in self.do(name, works) for name in self.names)

        wait_for(f"one {self.tier} to have the addresses, and both to work", one, 30)
        (other,) = {*self.names} - {*found}
        return found[0], other

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """Take a machine away during the block, as a power cut does."""
        self.task("invoke", "lab.stop", name, "--kill")
        try:
            yield
        finally:
            self.task("invoke", "lab.start", name)

    def false(self) -> list[str]:
        """Return the names of the checks that are false."""
        found = json.loads(self.task("invoke", "verify", "--json", code=1))
        return [each["name"] for each in found["checks"] if not each["ok"]]


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


@contextmanager
def on_one_connection(scenario: Scenario, path: str) -> Iterator[list[float]]:
    """Ask for a page during the block, by one connection that is never opened again.

    Gives how long each answer took; fails when one does not come.
    """
    took: list[float] = []
    failed: list[Exception] = []
    stop = threading.Event()
    line = HTTPConnection(scenario.entry, scenario.ports["http"], timeout=2 * AGAIN)
    line.connect()
    line.auto_open = 0

    def ask() -> None:
        while not stop.wait(2 * EVERY):
            begun = time.monotonic()
            try:
                line.request("GET", path)
                answer = line.getresponse()
                answer.read()
                assert answer.status == 200, answer.status
            except Exception as error:
                failed.append(error)
                return
            took.append(time.monotonic() - begun)

    one = threading.Thread(target=ask)
    one.start()
    try:
        yield took
    finally:
        stop.set()
        one.join()
        line.close()
    assert not failed, f"after {len(took)} answers on one connection: {failed[0]!r}"
