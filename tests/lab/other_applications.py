"""Applications besides the embedded one, for the tests that deploy them in its place."""

import os
from pathlib import Path

from tests.lab import places
from tests.lab.lab import Lab

# A source of CRM_2017: a git URL, local clone, bundle or tarball. Its code is not in this project.
CRM_2017_SOURCE = os.environ.get("CRM_2017_SOURCE", "")
NODE_SAMPLE = {
    "source": "tests/node_sample",
    "packages": ["nodejs"],
    "build_packages": ["npm"],
    "build": "npm install --no-audit --no-fund --no-update-notifier",
    "migrate": "node app.js migrate",
    "seed": "node app.js seed",
    "secure": "node app.js secure",
    # The last command of a line is the main process.
    "start": '[ "$PORT" ] && export WORDS="it\'s 100%" && node app.js',
    "processes": {
        "worker": {"start": "node app.js beat worker"},
        "scheduler": {"start": "node app.js beat scheduler", "on": "one"},
    },
    "health": "/health",
    "uploads": "public/uploads",
    "temporary": ["work"],
    "environment": {
        "NODE_ENV": "production",
        "GREETING": 'a "good" day; $HOME `\\',
        "DB_HOST": "at ${PGHOST}:${PGPORT}, not $${PGHOST}",
    },
    "log": "errors",
    "memory": 200,
    "uid": 909,
}


def configuration(
    lab: Lab, name: str, application: dict, path: Path, runs: str = "", **change: str
) -> Path:
    """Write the lab's scenario with that application in the place of its own.

    `runs` names the lab's own instead, with a change to its description.
    """
    entries = lab.entries
    own = {**entries["APPLICATION"], **change}
    known = {own["name"]: own, name: application}
    return places.write({**entries, "APPLICATIONS": known, "APPLICATION": runs or name}, path)


def crm_2017() -> dict:
    """Return CRM_2017 as config.py describes it, from the source at hand."""
    described = places.read(places.ROOT / "config.py")["APPLICATIONS"]["crm-2017"]
    return {**described, "source": CRM_2017_SOURCE}
