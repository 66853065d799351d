"""Fixtures of the lab tests: one deployed lab for all of them, and the order they run in."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.lab.lab import Lab  # noqa: E402 - only importable after the line above
from tests.lab.other_applications import CRM_2017_SOURCE  # noqa: E402

LEFT_OUT = pytest.StashKey[int]()

# First what only looks, then what disturbs and repairs; what takes the lab away comes last.
ORDER = (
    "firewall",
    "network",
    "balancer",
    "app",
    "database",
    "storage",
    "secrets",
    "commands",
    "drift",
    "logins",
    "habits",
    "elsewhere",
    "failures",
    "database_faults",
    "recovery",
    "lockout",
    "flushed",
    "verify",
    "scaling",
    "absent",
    "scaling_interrupted",
    "interrupted",
    "reboots",
    "leftovers",
    "bare",
    # Behind the comparison of bare with prepared machines: these install packages of their own.
    "node_sample",
    "crm_2017",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a developer keep the lab between two runs."""
    parser.addoption("--keep-lab", action="store_true", help="use the lab that is there, keep it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the modules into their order, and leave out those whose subject is not at hand."""
    items.sort(key=lambda item: ORDER.index(item.path.stem.removeprefix("test_")))
    if not CRM_2017_SOURCE:
        left_out = [item for item in items if item.path.stem == "test_crm_2017"]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
        config.stash[LEFT_OUT] = len(left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out, and why."""
    count = terminalreporter.config.stash.get(LEFT_OUT, 0)
    if count:
        terminalreporter.write_line(
            f"LEFT OUT: {count} tests of CRM_2017, whose source is not part of this project; "
            "CRM_2017_SOURCE names a git URL, local clone, bundle or tarball of it"
        )


@pytest.fixture(scope="session")
def lab(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Bring up and deploy the lab of the tests, and take it away at the end."""
    keep = pytestconfig.getoption("keep_lab")
    lab = Lab(tmp_path_factory.mktemp("ssh"))
    if not keep:
        lab.start_again()
    try:
        begin = time.monotonic()
        lab.up()
        up = time.monotonic()
        lab.fab("deploy")
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
def repaired(lab: Lab) -> Iterator[Lab]:
    """Hand the lab to a module that disturbs it, which must leave it as it should be."""
    yield lab
    done = lab.fab("deploy")
    lab.assert_nothing_to_do()
    assert "0 changes" in done.out, f"the tests left something to repair:\n{done.text}"
