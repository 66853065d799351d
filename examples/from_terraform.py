"""A scenario whose machines Terraform (or OpenTofu) has made.

    terraform output -json > examples/terraform.json
    CRM_CONFIG=examples/from_terraform.py .venv/bin/fab deploy

It has two outputs, here for a variable that holds what is the same for all clouds; what a cloud
itself chooses, such as an address, is an attribute of its resource:

    output "networks" { value = var.networks }
    output "machines" {
      value = { for name, machine in var.machines : name => {
        tier       = machine.tier
        addresses  = machine.addresses   # network -> address
        interfaces = machine.interfaces  # network -> interface
      } }
    }
"""

import json
from pathlib import Path

from config import APPLICATION, APPLICATIONS, PORTS, STORAGE  # noqa: F401

_OUTPUT = json.loads(Path(__file__).with_name("terraform.json").read_text())

NAME = "from-terraform"
NETWORKS = _OUTPUT["networks"]["value"]
MACHINES = {
    name: {"tier": made["tier"], **made["addresses"], "interfaces": made["interfaces"]}
    for name, made in _OUTPUT["machines"]["value"].items()
}
LOGIN = {"user": "admin"}  # with the keys and known hosts of ~/.ssh
