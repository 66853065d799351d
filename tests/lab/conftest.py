"""Fixtures of the lab tests: one deployed lab for all of them, and the order they run in."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.lab.lab import Lab  # noqa: E402 - only importable after the line above

# First what only looks, then what disturbs and mends; what takes the lab away comes last.
ORDER = (
    "firewall",
    "balancer",
    "app",
    "database",
    "storage",
    "secrets",
    "commands",
    "drift",
    "logins",
    "elsewhere",
    "failures",
    "verify",
    "interrupted",
    "reboots",
    "leftovers",
    "bare",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a developer keep the lab between two runs."""
    parser.addoption("--keep-lab", action="store_true", help="use the lab that is there, keep it")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the modules into their order."""
    items.sort(key=lambda item: ORDER.index(item.path.stem.removeprefix("test_")))


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Bring up and deploy the lab of the tests, and take it away at the end."""
    keep = pytestconfig.getoption("keep_lab")
    lab = Lab(tmp_path_factory.mktemp("ssh"))
    if not keep:
        lab.start_anew()
    try:
        begin = time.monotonic()
        lab.up()
        up = time.monotonic()
        lab.fab("deploy", limit=300)
        print(f"lab up {up - begin:.1f} s, first deploy {time.monotonic() - up:.1f} s")
        yield lab
    finally:
        if not keep:
            lab.remove()


@pytest.fixture(scope="session")
def prepared_state(lab: Lab) -> dict[str, str]:
    """Return what deploy made of machines that started from prepared images."""
    lab.assert_nothing_to_do()
    return lab.state()


@pytest.fixture(scope="module")
def mended(lab: Lab) -> Iterator[Lab]:
    """Hand the lab to a module that disturbs it, which must leave it as it should be."""
    yield lab
    done = lab.fab("deploy", limit=300)
    lab.assert_nothing_to_do()
    assert "0 changes" in done.out, f"the tests left something to mend:\n{done.text}"
