"""The lab: the scenario's machines as containers on this computer. No tier knows of it."""

from fabfile.lab.tasks import namespace

__all__ = ["namespace"]
