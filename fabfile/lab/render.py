"""The text of every file the lab writes for a machine. Pure functions of the scenario.

Sources: lxc.container.conf(5), systemd.network(5), sshd_config(5).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from fabfile.scenario import Machine, Scenario
from fabfile.scenario.parts import MANAGEMENT

LXC = """\
# Written by the lab at each start. See lxc.container.conf(5).
lxc.include = /usr/share/lxc/config/common.conf
lxc.uts.name = {name}
lxc.rootfs.path = overlay:{layers}:{home}/upper
# /sys read-only tells systemd-networkd that no udev will announce the interfaces; of /proc only
# what belongs to the container's own network is writable.
lxc.mount.auto =
lxc.mount.auto = cgroup:rw:force proc:mixed sys:mixed
lxc.mount.entry = /dev/fuse dev/fuse none bind,create=file 0 0
lxc.apparmor.profile = {profile}
# A new network namespace inherits this from the host, which forwards for the lab: no router yet.
lxc.sysctl.net.ipv4.ip_forward = 0
lxc.tty.max = 0
# What systemd shuts down and reboots at, see systemd(1), "Signals".
lxc.signal.halt = SIGRTMIN+3
lxc.console.logfile = {home}/console.log
lxc.log.file = {home}/lxc.log
lxc.log.level = WARN
"""

LXC_BRICK = """\
# GlusterFS supports no brick on an overlay: this one is a directory of this computer.
lxc.mount.entry = {home}/brick {target} none bind,create=dir 0 0
"""

LXC_INTERFACE = """\
lxc.net.{index}.type = veth
lxc.net.{index}.link = {bridge}
lxc.net.{index}.name = {interface}
lxc.net.{index}.hwaddr = {mac}
"""

# IPv6 link-local addresses stay, as on any machine. Without duplicate address detection and
# router solicitation the network is up at once instead of after two seconds.
NETWORK = """\
[Match]
Name={interface}

[Network]
Address={address}/{prefix}
LinkLocalAddressing=ipv6
IPv6AcceptRA=no
IPv6DuplicateAddressDetection=0
"""

SSHD = """\
# Written by the lab: only keys, only the user who logs in, only this machine's own host key.
Port {port}
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin {root}
PasswordAuthentication no
KbdInteractiveAuthentication no
UseDNS no
MaxStartups 40:30:120
"""


def mac(*words: object) -> str:
    """Return a locally administered hardware address that depends on the words alone."""
    digest = hashlib.sha256("\0".join(map(str, words)).encode()).hexdigest()
    return ":".join(["02", *(digest[at : at + 2] for at in range(0, 10, 2))])


def bridge(scenario: Scenario, network: str) -> str:
    """Return the name of the bridge that stands for a network."""
    return scenario.lab.bridge_prefix + network


def user(machine: Machine) -> str:
    """Return the user that Fabric logs in as on a machine of the lab."""
    return (machine.login and machine.login.user) or "deploy"


def home(machine: Machine) -> str:
    """Return the home directory of that user."""
    return "/root" if user(machine) == "root" else f"/home/{user(machine)}"


def sshd(machine: Machine) -> str:
    """Return the settings of a machine's SSH server: root gets in only where it is the user."""
    root = "prohibit-password" if user(machine) == "root" else "no"
    return SSHD.format(port=port(machine), root=root)


def port(machine: Machine) -> int:
    """Return the port of a machine's SSH server."""
    return (machine.login and machine.login.port) or 22


def gateway(scenario: Scenario) -> str:
    """Return this computer's address on the management network: every machine's way outside."""
    return scenario.control.management


def brick_mount(scenario: Scenario, machine: Machine) -> str:
    """Return where a storage server sees the directory for its brick; "" on other machines."""
    return str(Path(scenario.brick).parent) if "storage" in machine.tiers else ""


def lxc_config(
    scenario: Scenario,
    machine: Machine,
    home: Path,
    layers: list[Path],
    isolate: Path,
    profile: str,
) -> str:
    """Return the LXC configuration of a machine.

    `home` is its directory, `layers` its images from the upper to the lower one, `isolate` the
    script that keeps its management interface apart from those of other machines, `profile` the
    one of AppArmor.
    """
    images = ":".join(map(str, layers))
    text = LXC.format(name=machine.name, home=home, layers=images, profile=profile)
    if target := brick_mount(scenario, machine):
        text += LXC_BRICK.format(home=home, target=target.lstrip("/"))
    for index, network in enumerate(machine.addresses):
        text += LXC_INTERFACE.format(
            index=index,
            bridge=bridge(scenario, network),
            interface=machine.interface(network),
            mac=mac(scenario.lab.directory, machine.name, network),
        )
        if network == MANAGEMENT:
            text += f"lxc.net.{index}.script.up = {isolate}\n"
    return text


def networkd_files(scenario: Scenario, machine: Machine) -> dict[str, str]:
    """Return the files of systemd-networkd for a machine, by path."""
    files = {}
    for network, address in machine.addresses.items():
        interface = machine.interface(network)
        prefix = scenario.networks[network].prefixlen
        text = NETWORK.format(interface=interface, address=address, prefix=prefix)
        routes = [
            (str(destination), str(via))
            for destination, via in machine.routes.items()
            if via in scenario.networks[network]
        ]
        if network == MANAGEMENT:
            routes.append(("0.0.0.0/0", gateway(scenario)))
        for destination, via in routes:
            text += f"\n[Route]\nDestination={destination}\nGateway={via}\n"
        files[f"/etc/systemd/network/10-{interface}.network"] = text
    return files


def hosts(scenario: Scenario, machine: Machine) -> str:
    """Return /etc/hosts of a machine: the others where it can see them, itself as Debian does."""
    lines = ["127.0.0.1 localhost", f"127.0.1.1 {machine.name}", "::1 localhost ip6-localhost"]
    for other in scenario.machines:
        if other.name == machine.name:
            continue
        lines.append(f"{_where(machine, other)} {other.name}")
    return "\n".join(lines) + "\n"


def _where(machine: Machine, other: Machine) -> str:
    """Return the address at which a machine's people look for another one, met or not."""
    apart = [name for name in other.addresses if name != MANAGEMENT]
    met = [name for name in apart if name in machine.addresses]
    return str(other.addresses[(met or apart or [MANAGEMENT])[0]])


def resolv_conf(host: str, resolved: str) -> str:
    """Return resolv.conf for the machines from the host's, and from systemd-resolved's real list.

    A server at 127.0.0.53 answers this computer alone; the machines need the ones behind it.
    """

    def usable(text: str) -> str:
        return "".join(
            line + "\n"
            for line in text.splitlines()
            if line.split()[:1] in (["nameserver"], ["search"], ["options"])
            and not (line.startswith("nameserver") and line.split()[1:2][0].startswith("127."))
        )

    text = usable(host)
    return text if "nameserver" in text else usable(resolved) or text


def definition(scenario: Scenario, machine: Machine) -> dict[str, str]:
    """Return what a machine is made from, as text by name: where it differs, it is made again."""
    control = gateway(scenario)
    facts = {
        "tier": " ".join(machine.tiers),
        "release": machine.release,
        "user": user(machine),
        "SSH port": str(port(machine)),
        "gateway": control,
        "bridges": scenario.lab.bridge_prefix,
        "brick": brick_mount(scenario, machine),
        "routes": ", ".join(f"{to} via {via}" for to, via in machine.routes.items()),
    }
    for network, address in machine.addresses.items():
        prefix = scenario.networks[network].prefixlen
        facts[network] = f"{address}/{prefix} on {machine.interface(network)}"
    return facts
