"""No firewall, balancer or database is the only one: config.py's scenario with two of each.

    CRM_CONFIG=examples/pairs.py python3 config.py

It starts these machines in the lab, deploys and verifies; another lab with the same addresses must
be down. With machines of your own: CRM_CONFIG=examples/pairs.py .venv/bin/fab deploy

The users and the routes go on naming 10.1.2.2 and 10.1.1.1, which one of two has at a time: when it
is gone, the other one takes them over within a second or so. The app servers find the database that
is the primary at 10.1.4.30.
"""

import config
from config import *  # noqa: F403

NAME = "pairs"
_INWARDS = {"10.1.1.0/24": "10.1.2.1"}
_FIREWALLS = {
    "fw": {"lan1": "10.1.1.3", "lan2": "10.1.2.3", "management": "10.250.0.2"},
    "fw2": {"lan1": "10.1.1.4", "lan2": "10.1.2.5", "management": "10.250.0.4"},
}
_BALANCERS = {
    "lb": {"lan2": "10.1.2.4", "lan3": "10.1.3.1", "management": "10.250.0.3"},
    "lb2": {"lan2": "10.1.2.6", "lan3": "10.1.3.2", "management": "10.250.0.5"},
}
# In the order of config.py, the second ones behind the first.
MACHINES = {
    name: entry
    for first, given in config.MACHINES.items()
    for name, entry in {
        "fw": {each: {"tier": "firewall", **at} for each, at in _FIREWALLS.items()},
        "lb": {
            each: {"tier": "balancer", **at, "routes": _INWARDS} for each, at in _BALANCERS.items()
        },
    }.get(first, {first: given}).items()
}
MACHINES["bbdd2"] = {"tier": "database", "lan4": "10.1.4.32", "management": "10.250.0.32"}
# The addresses that the machines of a tier share, by network.
FLOATING = {
    "firewall": {"lan1": "10.1.1.1", "lan2": "10.1.2.1"},
    "balancer": {"lan2": "10.1.2.2"},
    "database": {"lan4": "10.1.4.30"},
}
# Another database takes over unnoticed where clients let go of connections: docs/databases.md.
APPLICATIONS = {
    **config.APPLICATIONS,
    "crm": {**config.APPLICATIONS["crm"], "pool": "transaction"},
}
LOGIN = {
    **config.LOGIN,
    "key": ".state/pairs/id_ed25519",
    "known_hosts": ".state/pairs/known_hosts",
}
LAB = {**config.LAB, "directory": "/var/lib/crm-pairs", "bridge_prefix": "pair-"}
