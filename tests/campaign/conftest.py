"""The campaigns use the lab of the lab tests, with the same options and some of their own."""

import pytest

from tests.lab import conftest
from tests.lab.conftest import lab

__all__ = ["lab"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a person keep the lab between two runs, and say which seeds there shall be."""
    conftest.pytest_addoption(parser)
    parser.addoption("--seeds", default="1-25", help="of interruptions: as 1-25, or 3,7")
    parser.addoption("--again", action="store_true", help="also seeds that were done before")
