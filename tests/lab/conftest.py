"""Fixtures of the lab tests: one deployed lab for all of them, and the order they run in."""

import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.lab import Lab
from tests.lab.other_applications import CRM_2017_SOURCE, NODE_SAMPLE, configuration

HERE = Path(__file__).resolve().parent
# What a test file says of itself with `pytestmark`, in the order in which the files run.
ORDER = {
    "only_looks": "leaves everything as it is",
    "disturbs": "changes machines and repairs them, as do files that say nothing",
    "takes_the_lab_away": "removes machines",
    "installs_packages": "leaves packages on machines that they have of nobody else",
    "makes_machines_rough": "gives all machines the oddities that people's machines have",
}
DEFAULT = "disturbs"


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    for name, meaning in ORDER.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a developer keep the lab between two runs."""
    parser.addoption("--keep-lab", action="store_true", help="use the lab that is there, keep it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the files into their order, and leave out those whose subject is not at hand."""
    items.sort(key=_place)
    if not CRM_2017_SOURCE:
        left_out = [item for item in items if item.path.stem == "test_crm_2017"]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def _place(item: pytest.Item) -> int:
    """Return where a test comes; those of other directories stay in front."""
    if HERE not in item.path.parents:
        return -1
    said = {mark.name for mark in item.iter_markers()} & {*ORDER}
    return [*ORDER].index(said.pop() if said else DEFAULT)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out, and why."""
    if not CRM_2017_SOURCE:
        terminalreporter.write_line(
            "LEFT OUT: the tests of CRM_2017, whose source is not part of this project; "
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
        with (tmp_path_factory.getbasetemp().parent / "images").open("w") as turn:
            # One worker builds the images, and the others have them from it.
            fcntl.flock(turn, fcntl.LOCK_EX)
            lab.up()
        up = time.monotonic()
        lab.fab("deploy")
        print(f"lab up {up - begin:.1f} s, first deploy {time.monotonic() - up:.1f} s")
        lab.assert_nothing_to_do()
        lab.prepared = lab.state()
        yield lab
    finally:
        if not keep:
            lab.remove()


@pytest.fixture(scope="module")
def repaired(lab: Lab) -> Iterator[Lab]:
    """Hand the lab to a module that disturbs it, which must leave it as it should be."""
    yield lab
    lab.await_seen()
    done = lab.fab("deploy")
    if "0 changes" not in done.out:
        lab.assert_nothing_to_do()
        raise AssertionError(f"the tests left something to repair:\n{done.text}")


@pytest.fixture(scope="module")
def node_sample(repaired: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Deploy the sample in the place of the embedded application, which comes back behind it."""
    path = tmp_path_factory.mktemp("node") / "config.py"
    configuration(repaired, "node-sample", NODE_SAMPLE, path)
    # Debian's npm is 350 packages, on the one machine that builds.
    repaired.fab("deploy", limit=400, config=path)
    yield path
    repaired.fab("deploy", limit=200)
