"""How the person gets into the machines: the lab's key pair, and the machines' pinned host keys.

These files are the person's. Run as root through sudo, the lab gives them to who called sudo.
"""

from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from fabfile.lab.host import LabError, run
from fabfile.lab.machines import host_keys
from fabfile.scenario import ROOT, Login, Scenario
from fabfile.scenario.parts import MANAGEMENT


def host(login: Login) -> str:
    """Return how known_hosts names a machine's SSH server, see sshd(8)."""
    return login.host if login.port in (None, 22) else f"[{login.host}]:{login.port}"


def public_keys(scenario: Scenario) -> dict[str, str]:
    """Return the public key to let in on each machine; a key pair that is missing is made."""
    made: dict[Path, str] = {}
    for machine in scenario.machines:
        key = machine.login.key if machine.login else None
        if key and key not in made:
            made[key] = public_key(key)
    return {m.name: made[m.login.key] for m in scenario.machines if m.login and m.login.key}


def pin_host_keys(scenario: Scenario) -> None:
    """Write the host keys of the lab's machines to known_hosts, leaving other hosts' alone."""
    keys = host_keys(scenario.lab)
    pinned: dict[Path, dict[str, str]] = {}
    for machine in scenario.machines:
        if machine.login and machine.login.known_hosts and machine.name in keys:
            lines = pinned.setdefault(machine.login.known_hosts, {})
            for name in dict.fromkeys([host(machine.login), machine.management]):
                lines[name] = f"{name} {keys[machine.name]}"
    for path, lines in pinned.items():
        old = path.read_text().splitlines() if path.exists() else []
        others = [line for line in old if line.split(" ")[0] not in lines]
        _write(path, "\n".join([*others, *lines.values()]) + "\n")


def forget_host_keys(scenario: Scenario) -> None:
    """Take out of known_hosts what this computer's lab once pinned at addresses that none has."""
    networks = scenario.networks
    if MANAGEMENT not in networks:
        return
    used = {m.management for m in scenario.machines if MANAGEMENT in m.addresses}
    logins = [machine.login for machine in scenario.machines if machine.login]
    for path in {login.known_hosts for login in logins if login.known_hosts}:
        old = path.read_text().splitlines() if path.exists() else []
        kept = [line for line in old if not _unused(line, networks[MANAGEMENT], used)]
        if kept != old:
            _write(path, "".join(f"{line}\n" for line in kept))


def _unused(line: str, network: IPv4Network, used: set[str]) -> bool:
    name = line.split(" ")[0]
    address = name[1:].partition("]")[0] if name.startswith("[") else name
    try:
        return IPv4Address(address) in network and address not in used
    except ValueError:
        return False  # a name of another kind


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        _make_parent(path)
        new = path.with_name(f"{path.name}.new")
        new.write_text(text)
        new.chmod(0o644)
        give_to_person(new)
        new.replace(path)


def give_to_person(path: Path) -> None:
    """Give a file or directory, with all below, to who called sudo; nothing to do without sudo."""
    user, group = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if os.geteuid() != 0 or not user or not path.exists():
        return
    for item in (path, *path.rglob("*")):
        os.chown(item, int(user), int(group or user), follow_symlinks=False)


def public_key(key: Path) -> str:
    """Return the public key that belongs to a private one, which is made if it is missing.

    Raises LabError for a file that is no private key, or has a passphrase and no .pub beside it.
    """
    if not key.exists():
        _make_parent(key)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", key)
        give_to_person(key)
        give_to_person(key.with_name(f"{key.name}.pub"))
    public = key.with_name(f"{key.name}.pub")
    if public.exists():
        return public.read_text()
    try:
        return run("ssh-keygen", "-y", "-P", "", "-f", key)
    except LabError:
        raise LabError(
            f"{key} is no private key without a passphrase; name another file in LOGIN['key']."
        ) from None


def _make_parent(path: Path) -> None:
    """Make the directory of a file, for the person alone."""
    missing = [parent for parent in path.parents if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(mode=0o700 if parent.parent != ROOT else 0o755)
        give_to_person(parent)
