"""Every operation, killed by -9 at a random moment under load, is finished by the same command.

A seed names the operation and the moment. What came of each is in a file of the lab's state, and
seeds that were well are left out the next time: a campaign that was cut short goes on.
"""

import json
from dataclasses import asdict

import pytest

from tests.lab import places
from tests.lab.interruptions import Outcome, interrupt, settle

FILE = places.STATE / "interruptions.jsonl"


def outcomes() -> dict[int, Outcome]:
    """Return what came of each seed so far."""
    lines = FILE.read_text().splitlines() if FILE.exists() else []
    found = [Outcome(**json.loads(line)) for line in lines]
    return {each.seed: each for each in found}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have a test for each seed that is still to be done."""
    seeds: list[int] = []
    for part in metafunc.config.getoption("seeds").split(","):
        first, _, last = part.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    if not metafunc.config.getoption("again"):
        done = {seed for seed, each in outcomes().items() if each.result == "as before"}
        seeds = [seed for seed in seeds if seed not in done]
    metafunc.parametrize("seed", seeds)


@pytest.fixture(scope="module")
def table(lab):
    """Begin with nothing to do, and print what came of all seeds at the end."""
    settle(lab)
    yield lab
    print(f"\n{Outcome.HEAD}")
    for _, each in sorted(outcomes().items()):
        print(each)


def test_what_was_killed_is_finished_by_the_same_command(table, seed):
    outcome = interrupt(table, seed)
    with FILE.open("a") as file:
        file.write(f"{json.dumps(asdict(outcome))}\n")
    print(f"\n{Outcome.HEAD}\n{outcome}")
    assert outcome.result == "as before", outcome.result
