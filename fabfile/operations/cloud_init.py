"""User-data for cloud-init: what makes a rented machine ready for us to log in on."""

from __future__ import annotations

import json
from pathlib import Path

from invoke.exceptions import Exit

from fabfile.operations.session import scenario
from fabfile.scenario import Login, Scenario

# Of the person's own keys, in the order in which ssh tries them, see ssh_config(5).
USUAL_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
HEAD = """\
#cloud-config
# A machine of the scenario {name}: {user} logs in with a key, and is root without a password.
"""
USER = """\
users:
  - name: {user}
    shell: /bin/bash
    lock_passwd: true
    sudo: "ALL=(ALL) NOPASSWD:ALL"
    ssh_authorized_keys:
      - {key}
"""
# Without the first line, cloud-init lets a key of root's do nothing but tell of another user.
ROOT = """\
disable_root: false
users:
  - name: root
    ssh_authorized_keys:
      - {key}
"""
# Passwords let nobody in by SSH.
TAIL = """\
ssh_pwauth: false
"""


def user_data(name: str, user: str, key: str) -> str:
    """Return the user-data for machines of a scenario; `key` is the public key of `user`.

    A text in double quotes as JSON writes it is one in YAML, too.
    """
    body = ROOT if user == "root" else USER
    return (HEAD + body + TAIL).format(name=name, user=user, key=json.dumps(key))


def show(machine: str) -> None:
    """Print the user-data for a machine, or, without a name, for all of them; raises Exit."""
    wanted = scenario()
    login = _login(wanted, machine)
    if not login.user:
        raise Exit(
            f"{login.host_from} says no user: say user@host there, so that one can be made.", 1
        )
    print(user_data(wanted.name, login.user, _public_key(login)), end="")


def _login(wanted: Scenario, name: str) -> Login:
    """Return how a machine is logged in on, without a name the one way that all have."""
    machines = {each.name: each for each in wanted.inside}
    if name and name not in machines:
        raise Exit(f"There is no machine {name}; there are {', '.join(machines)}.", 1)
    logins = [machines[name].ssh] if name else [each.ssh for each in machines.values()]
    if len({(each.user, each.key) for each in logins}) > 1:
        raise Exit("Not all machines have the same user and key: name one with --machine.", 1)
    return logins[0]


def _public_key(login: Login) -> str:
    """Return the public key of a login; a key pair that LOGIN names and is missing is made."""
    from fabfile.lab.access import public_key
    from fabfile.lab.host import LabError

    own = Path.home() / ".ssh"
    usual = [own / name for name in USUAL_KEYS if (own / f"{name}.pub").exists()]
    if not login.key and not usual:
        raise Exit("There is no key to log in with: make one with ssh-keygen -t ed25519.", 1)
    try:
        return public_key(login.key or usual[0]).strip()
    except LabError as error:
        raise Exit(str(error), 1) from None
