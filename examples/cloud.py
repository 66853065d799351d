"""A cloud's private network: one network card each, and one machine that the users reach.

    CRM_CONFIG=examples/cloud.py .venv/bin/fab deploy

You reach the others through web, as `ProxyJump web.example.net` in ~/.ssh/config says for
10.20.0.*.
A public address may be one that the cloud translates: no machine needs to have it.
"""

from config import APPLICATION, APPLICATIONS  # noqa: F401

NAME = "cloud"
NETWORKS = {"private": "10.20.0.0/24", "public": "0.0.0.0/0"}
MACHINES = {
    "web": {
        "tier": "balancer",
        "private": "10.20.0.10",
        "public": "198.51.100.7",
        "open": ["51820/udp"],  # something else's, that stays reachable
    },
    "s1": {"tier": "app", "private": "10.20.0.11"},
    "s2": {"tier": "app", "private": "10.20.0.12"},
    "s3": {"tier": "app", "private": "10.20.0.13"},
    "bbdd": {"tier": "database", "private": "10.20.0.31"},
    "nas1": {"tier": "storage", "private": "10.20.0.21"},
    "nas2": {"tier": "storage", "private": "10.20.0.22"},
    "nas3": {"tier": "storage", "private": "10.20.0.23"},
}
LOGIN = {"user": "admin"}  # with the keys and known hosts of ~/.ssh
