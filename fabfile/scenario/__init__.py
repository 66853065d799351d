"""The scenario: config.py and the inventory as typed data, checked as a whole.

`load()` answers a `Scenario` or raises `ScenarioError` with every mistake in it, each as one
sentence that names the entry.
"""

from fabfile.scenario.loading import load
from fabfile.scenario.model import ROOT, Scenario, ScenarioError, inventory_file
from fabfile.scenario.parts import Application, Lab, Login, Machine, Pinned, Process

__all__ = [
    "ROOT",
    "Application",
    "Lab",
    "Login",
    "Machine",
    "Pinned",
    "Process",
    "Scenario",
    "ScenarioError",
    "inventory_file",
    "load",
]
