"""Clients that keep asking while something is done, and the report of what they saw."""

import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fabfile.lab.commands import ssh_command
from fabfile.scenario import Scenario
from tests.lab.commands import wait_for
from tests.lab.load import Load

SLOW = Path(__file__).with_name("slow.py").read_text()
# Reads the program, and leaves the rest of standard input to it.
START = 'import sys; exec(compile(sys.stdin.read(int(sys.stdin.readline())), "slow", "exec"))'
FIRST = 30
SECONDS = 400  # at most, whatever is done meanwhile


@dataclass
class Report:
    """What the clients saw: requests answered and not, how long they took, and what was lost."""

    seconds: float = 0
    seen: list = field(default_factory=list)
    errors: list = field(default_factory=list)
    written: int = 0
    lost: list = field(default_factory=list)
    errors_after: list = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Return how many milliseconds that share of the requests took at most."""
        times = sorted(seconds for _, _, seconds, _ in self.seen)
        return 1000 * times[min(len(times) - 1, int(share * len(times)))] if times else 0.0

    @property
    def servers(self) -> Counter:
        """How many requests each server answered."""
        return Counter(server for _, _, _, server in self.seen if server)

    def __str__(self) -> str:
        kinds = Counter(kind for kind, *_ in self.seen)
        errors = Counter(f"{kind}: {what}" for kind, what, *_ in self.errors)
        return (
            f"{len(self.seen)} requests in {self.seconds:.1f} s "
            f"({', '.join(f'{kind} {count}' for kind, count in sorted(kinds.items()))}), "
            f"p50 {self.percentile(0.5):.0f} ms, p99 {self.percentile(0.99):.0f} ms, "
            f"slowest {self.percentile(1):.0f} ms; {self.written} writes, {len(self.lost)} lost; "
            f"errors: {dict(errors) or 'none'}"
        )


class Traffic:
    """A running load; `report` is there when it has ended."""

    def __init__(self, load: Load) -> None:
        self.load, self.report = load, Report()


@contextmanager
def traffic(scenario: Scenario, **settings: object) -> Iterator[Traffic]:
    """Have clients ask steadily during the block, and answer what they saw.

    They are on this computer, which is on the users' side of the firewall. The block begins once
    there is an answer, and something to lose if any of them writes.
    """
    load = Load(scenario.url, scenario.secret("administrator_password"), **settings)
    running = Traffic(load)
    with load.running():
        writes = settings.get("writers", 1)
        wait_for("the first answer", lambda: load.written if writes else load.seen, FIRST)
        yield running
    seen, errors = [*load.seen], [*load.errors]
    lost = load.lost()
    load.clean()
    running.report = Report(
        load.seconds, seen, errors, len(load.written), lost, load.errors[len(errors) :]
    )


@contextmanager
def trouble(scenario: Scenario, how: str, clients: int, *paths: str) -> Iterator[None]:
    """Have c1 post bodies during the block that nobody wants: `dribble` or `flood`, see slow.py."""
    wanted = {
        "host": scenario.entry,
        "port": scenario.ports["http"],
        "seconds": SECONDS,
        "how": how,
        "clients": clients,
        "paths": paths,
    }
    with _program(scenario, wanted) as process:
        yield
        _, err = process.communicate("stop\n")
        assert process.returncode == 0, f"the trouble failed: {err}"


@contextmanager
def _program(scenario: Scenario, wanted: dict) -> Iterator[subprocess.Popen]:
    """Run slow.py on a client of the lab, and give it once it has started; it ends in time."""
    program = f"{SLOW}\nmain({wanted!r})\n"
    command = [*ssh_command(scenario, "c1"), f"python3 -uc '{START}'"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    killer = threading.Timer(wanted["seconds"] + 60, process.kill)
    killer.start()
    try:
        process.stdin.write(f"{len(program)}\n{program}")
        process.stdin.flush()
        first = process.stdout.readline()
        assert first == "started\n", f"the program did not start: {first}{process.stderr.read()}"
        yield process
    finally:
        killer.cancel()
        process.kill()
        process.wait()
