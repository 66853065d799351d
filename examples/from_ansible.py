"""A scenario whose machines stand in an inventory of Ansible, of any kind: here ansible.ini.

    ansible-inventory -i examples/ansible.ini --list > examples/ansible.json
    CRM_CONFIG=examples/from_ansible.py .venv/bin/fab deploy

A group a tier; a host's variables say its addresses by network, and its interfaces.
"""

import json
from pathlib import Path

from config import APPLICATION, APPLICATIONS, PORTS, STORAGE  # noqa: F401

_INVENTORY = json.loads(Path(__file__).with_name("ansible.json").read_text())
_TIERS = ("firewall", "balancer", "app", "database", "storage")
_HOSTS = _INVENTORY["_meta"]["hostvars"]


def _machine(tier: str, host: dict) -> dict:
    own = {key: host[key] for key in ("interfaces", *NETWORKS) if key in host}
    where = f"{host['ansible_user']}@{host['ansible_host']}:{host.get('ansible_port', 22)}"
    return {"tier": tier, "ssh": where, **own}


NAME = "from-ansible"
NETWORKS = {
    "lan1": "10.20.1.0/24",
    "lan2": "10.20.2.0/24",
    "lan3": "10.20.3.0/24",
    "lan4": "10.20.4.0/24",
    "management": "10.20.0.0/24",
}
MACHINES = {
    name: _machine(tier, _HOSTS[name]) for tier in _TIERS for name in _INVENTORY[tier]["hosts"]
}
LOGIN = {}  # the keys and known hosts of ~/.ssh
