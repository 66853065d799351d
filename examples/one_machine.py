"""All of it on one rented machine, which the users and you reach at its public address.

    CRM_CONFIG=examples/one_machine.py .venv/bin/fab deploy

Uploads are on that machine alone: `verify` warns of it. To grow, add machines of the tier
"storage", then more of the tier "app"; the uploads are brought onto the volume.
"""

from config import APPLICATION, APPLICATIONS  # noqa: F401

NAME = "one-machine"
NETWORKS = {"public": "0.0.0.0/0"}
MACHINES = {
    "web": {"tiers": ["balancer", "app", "database"], "public": "198.51.100.7"},
}
LOGIN = {"user": "root"}  # with the keys and known hosts of ~/.ssh
