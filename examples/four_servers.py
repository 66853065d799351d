"""Another scenario with few words: config.py's, with one app server more and a name of its own.

    CRM_CONFIG=examples/four_servers.py .venv/bin/fab deploy

`config` is the project's config.py; a file beside this one can be imported by its name, too.
"""

import config
from config import *  # noqa: F403

NAME = "four-servers"
_S4 = {"tier": "app", "lan3": "10.1.3.14", "lan4": "10.1.4.14", "management": "10.250.0.14"}
MACHINES = {**config.MACHINES, "s4": _S4}
LAB = {**config.LAB, "directory": "/var/lib/crm-four-servers", "bridge_prefix": "four-"}
