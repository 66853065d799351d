"""The campaigns use the lab of the lab tests, with the same options."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.lab.conftest import lab, pytest_addoption

__all__ = ["lab", "pytest_addoption"]
