"""Scenario files of VNX (Virtual Networks over linuX): read, turned into a config.py, and written.

Standard library only. Nothing here touches a machine, and no command of a file is run. What VNX
means by each element is in its reference, https://web.dit.upm.es/vnxwiki/.
"""

from fabfile.scenario.vnx.merging import Imported, merged
from fabfile.scenario.vnx.names import VnxError
from fabfile.scenario.vnx.reading import read
from fabfile.scenario.vnx.source import source_text
from fabfile.scenario.vnx.writing import exported

__all__ = ["Imported", "VnxError", "exported", "merged", "read", "source_text"]
