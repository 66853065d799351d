"""A scenario whose machines stand in a JSON file, as another program writes it: machines.json.

CRM_CONFIG=examples/from_json.py .venv/bin/fab deploy
"""

import json
from pathlib import Path

from config import APPLICATION, APPLICATIONS, PORTS, STORAGE  # noqa: F401

_DATA = json.loads(Path(__file__).with_name("machines.json").read_text())

NAME = "from-json"
NETWORKS = _DATA["networks"]
MACHINES = _DATA["machines"]
LOGIN = {"user": "admin"}  # with the keys and known hosts of ~/.ssh
