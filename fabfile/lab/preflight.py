"""What this computer lacks for the lab: every problem at once, each a sentence with its remedy."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network
from pathlib import Path

from fabfile.lab import network, render
from fabfile.lab.host import LabError, run
from fabfile.scenario import Lab, Machine, Scenario
from fabfile.scenario.parts import MANAGEMENT

PROGRAMS = (
    *("apt-config", "ip", "iptables-restore", "iptables-save", "lxc-ls", "lxc-start", "lxc-stop"),
    *("mmdebstrap", "openssl", "setpriv", "ssh-keygen", "unshare"),
)
# Tried for real, in namespaces that are gone when the shell ends; each line names its remedy.
OVERLAY = """
mkdir -p "$0/lower" "$0/upper" "$0/work" "$0/root"
mount -t overlay lab -o "lowerdir=$0/lower,upperdir=$0/upper,workdir=$0/work" "$0/root"
"""
LINKS = "ip link add lab0 type bridge && ip link add lab1 type veth peer name lab2"
NETFILTER = """
iptables -t mangle -A FORWARD -m conntrack --ctstate ESTABLISHED -m comment --comment lab -j DROP
iptables -t nat -A POSTROUTING -j MASQUERADE
"""


def problems(scenario: Scenario, starting: Iterable[Machine], creating: bool) -> list[str]:
    """Return what keeps the lab from starting these machines, [] when nothing does."""
    lab, names = scenario.lab, [machine.name for machine in starting]
    found = scenario_problems(scenario)
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        return [*found, f"Missing programs: {', '.join(missing)}; run bin/prepare."]
    bridges = network.own_bridges(lab)
    found += bridge_problems(scenario, bridges)
    routes = json.loads(run("ip", "-json", "-4", "route", "show", "table", "all") or "[]")
    used = [(route.get("dst", "default"), route.get("dev", "?")) for route in routes]
    found += range_problems(scenario, used, {name for name, ours in bridges.items() if ours})
    if names:
        found += memory_problems(lab, len(names), len(scenario.machines) - 1, _available_mb())
    if creating:
        found += disk_problems(lab, shutil.disk_usage(lab.directory).free // 2**20)
    if names:
        found += kernel_problems(lab)
    return found


def scenario_problems(scenario: Scenario) -> list[str]:
    """Return what the lab needs of config.py beyond a valid scenario."""
    found = []
    if not any(MANAGEMENT in machine.addresses for machine in scenario.tier("control")):
        found.append(
            "MACHINES has no machine of the tier 'control' with a 'management' address; "
            "add one: it is what this computer is called in the lab."
        )
    for machine in scenario.machines:
        where = f"MACHINES[{machine.name!r}]"
        if MANAGEMENT not in machine.addresses:
            found.append(f"{where} has no 'management' address, which the lab needs; add one.")
        for to, via in machine.routes.items():
            if not any(via in scenario.networks[name] for name in machine.addresses):
                found.append(
                    f"{where}['routes'] reaches {to} through {via}, which is on none of its "
                    "networks; name a gateway that it can reach."
                )
        if machine.login and not (machine.login.key and machine.login.known_hosts):
            found.append(
                f"LOGIN has no 'key' or no 'known_hosts' for {machine.name}; "
                "the lab makes both, so name a file for each."
            )
    return found


def bridge_problems(scenario: Scenario, bridges: Mapping[str, bool]) -> list[str]:
    """Return a sentence for each interface that has a name of our bridges and is not ours."""
    found = []
    for name in scenario.networks:
        bridge = render.bridge(scenario, name)
        exists = bridge in bridges or Path("/sys/class/net", bridge).exists()
        if exists and not bridges.get(bridge):
            found.append(
                f"The network interface {bridge} exists already and is not this lab's: choose "
                "another LAB['bridge_prefix'], or remove it with: ip link delete " + bridge
            )
    return found


def range_problems(
    scenario: Scenario, used: Iterable[tuple[str, str]], own_bridges: set[str]
) -> list[str]:
    """Return a sentence for each network of the scenario that this computer uses otherwise.

    `used` are the routes of this computer as `ip route` tells them, destination and device; those
    to its own addresses are among them.
    """
    wanted = {f"NETWORKS[{name!r}]": range_ for name, range_ in scenario.networks.items()}
    for control in scenario.tier("control"):
        for to in control.routes:
            wanted[f"MACHINES[{control.name!r}]['routes']"] = to
    found: dict[str, str] = {}
    for destination, device in used:
        if device in own_bridges or destination == "default":
            continue
        taken = IPv4Network(destination, strict=False)
        for where, range_ in wanted.items():
            if taken.prefixlen and taken.overlaps(range_):
                found.setdefault(
                    where,
                    f"{where} {range_} is in use on this computer: {taken} on {device}; "
                    "choose another range in config.py.",
                )
    return list(found.values())


def memory_problems(lab: Lab, starting: int, machines: int, available_mb: int) -> list[str]:
    """Return a sentence if there is less memory than the machines to start need."""
    needed = lab.memory_mb * starting // max(machines, 1)
    if available_mb >= needed:
        return []
    return [
        f"{available_mb} MiB of memory are available, {starting} machines need {needed}: end "
        "other programs, or lower LAB['memory_mb'] at your own risk."
    ]


def disk_problems(lab: Lab, free_mb: int) -> list[str]:
    """Return a sentence if there is less free space than new images and machines need."""
    if free_mb >= lab.disk_mb:
        return []
    return [
        f"{free_mb} MiB are free at {lab.directory}, the lab needs {lab.disk_mb}: make room, or "
        "name a directory on a bigger disk in LAB['directory']."
    ]


def kernel_problems(lab: Lab) -> list[str]:
    """Return a sentence for each feature of the kernel that is tried and does not work."""
    found = []
    probe = lab.directory / "probe"
    tries = (
        (
            ("unshare", "--mount", "sh", "-ec", OVERLAY, probe),
            f"An overlay file system cannot be mounted over {lab.directory}: load the kernel "
            "module overlay, or name a directory on ext4, xfs or btrfs in LAB['directory'].",
        ),
        (
            ("unshare", "--net", "sh", "-ec", LINKS),
            "The kernel makes no bridge or veth interfaces: load the modules bridge and veth.",
        ),
        (
            ("unshare", "--net", "sh", "-ec", NETFILTER),
            "The kernel does no address translation: load the modules nf_nat, xt_MASQUERADE, "
            "xt_conntrack and xt_comment, or run a kernel that has them.",
        ),
    )
    for command, sentence in tries:
        try:
            run(*command)
        except LabError as error:
            found.append(f"{sentence} ({str(error).splitlines()[-1].strip()})")
    shutil.rmtree(probe, ignore_errors=not probe.exists())
    if not Path("/dev/fuse").exists():
        found.append("There is no /dev/fuse, which GlusterFS needs: load the kernel module fuse.")
    groups = Path("/sys/fs/cgroup")
    if not (groups / "cgroup.controllers").exists() and not (groups / "systemd").is_dir():
        found.append(
            f"There is no cgroup file system at {groups} that systemd can run under: boot with "
            "systemd, or mount cgroup2 there."
        )
    return found


def _available_mb() -> int:
    match = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    return int(match.group(1)) // 1024 if match else 0
