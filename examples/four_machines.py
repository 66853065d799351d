"""Four rented machines on a private network: each upload on three, two app servers.

    CRM_CONFIG=examples/four_machines.py .venv/bin/fab deploy

No machine is a firewall: each lets in only what the others must ask it, and the users on web.
"""

from config import APPLICATION, APPLICATIONS, STORAGE  # noqa: F401

NAME = "four-machines"
# Machines ask each other on the first network that both are on.
NETWORKS = {"private": "10.0.0.0/24", "public": "0.0.0.0/0"}
MACHINES = {
    "web": {"tiers": ["balancer", "database"], "private": "10.0.0.2", "public": "198.51.100.7"},
    "nas1": {"tiers": ["storage", "app"], "private": "10.0.0.3", "public": "198.51.100.8"},
    "nas2": {"tiers": ["storage", "app"], "private": "10.0.0.4", "public": "198.51.100.9"},
    "nas3": {"tier": "storage", "private": "10.0.0.5", "public": "198.51.100.10"},
}
LOGIN = {"user": "root"}  # with the keys and known hosts of ~/.ssh
