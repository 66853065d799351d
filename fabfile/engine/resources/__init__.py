"""What a machine can be asked to have. Each resource compares facts with what is desired."""

from fabfile.engine.resources.commands import Never, Run
from fabfile.engine.resources.files import Directory, File, Link, Unpacked
from fabfile.engine.resources.memory import Memory
from fabfile.engine.resources.neighbours import Neighbours
from fabfile.engine.resources.packages import Packages
from fabfile.engine.resources.ports import Port
from fabfile.engine.resources.services import Service
from fabfile.engine.resources.unique import Unique
from fabfile.engine.resources.users import User

__all__ = [
    "Directory",
    "File",
    "Link",
    "Memory",
    "Neighbours",
    "Never",
    "Packages",
    "Port",
    "Run",
    "Service",
    "Unique",
    "Unpacked",
    "User",
]
