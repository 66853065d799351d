"""The campaigns use the lab of the lab tests, with the same options."""

from tests.lab.conftest import lab, pytest_addoption

__all__ = ["lab", "pytest_addoption"]
