"""The lab's networks on this computer: bridges, this computer's addresses on them, the way outside.

Every bridge carries a hardware address made from the lab's directory and its own name, every
netfilter rule a comment with the bridge prefix: so ours are told from others', and labs with
another prefix and directory are left alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from fabfile.lab import render
from fabfile.lab.host import run
from fabfile.scenario import Lab, Scenario
from fabfile.scenario.parts import MANAGEMENT

# Settings of this computer that the lab needs, and the least value of each. A machine's systemd
# takes about seven inotify instances, all root's: the kernel's 128 are enough for some 17 machines.
SETTINGS = {
    "ip_forward": (Path("/proc/sys/net/ipv4/ip_forward"), 1),
    "inotify": (Path("/proc/sys/fs/inotify/max_user_instances"), 4096),
}
# Settings of each bridge, by their path below /proc/sys/net. This computer speaks no IPv6 there,
# or a machine that advertises itself as a router would get its packets. It asks every 100 ms
# instead of every second for a machine that is just starting.
SWITCHES = {"ipv6/conf/{}/disable_ipv6": "1", "ipv4/neigh/{}/retrans_time_ms": "100"}


def own_bridges(lab: Lab) -> dict[str, bool]:
    """Return the bridges on this computer with the lab's prefix: name -> whether it is ours."""
    links = json.loads(run("ip", "-json", "link", "show", "type", "bridge") or "[]")
    return {
        link["ifname"]: link["address"] == render.mac(lab.directory, link["ifname"])
        for link in links
        if link.get("ifname", "").startswith(lab.bridge_prefix)
    }


def missing(scenario: Scenario) -> set[str]:
    """Return the networks that have no bridge yet."""
    there = own_bridges(scenario.lab)
    return {name for name in scenario.networks if render.bridge(scenario, name) not in there}


def addresses(scenario: Scenario, network: str) -> list[str]:
    """Return this computer's addresses on a network, each with the length of its prefix."""
    return [
        f"{control.addresses[network]}/{scenario.networks[network].prefixlen}"
        for control in scenario.tier("control")
        if network in control.addresses
    ]


def routes(scenario: Scenario) -> list[tuple[str, str, str]]:
    """Return this computer's routes into the scenario: destination, gateway, bridge."""
    return [
        (str(to), str(via), render.bridge(scenario, network))
        for control in scenario.tier("control")
        for to, via in control.routes.items()
        for network in control.addresses
        if via in scenario.networks[network]
    ]


def up(scenario: Scenario) -> bool:
    """Bring bridges, addresses, routes and rules to what the scenario says; answer if any changed.

    Bridges of ours that no network of the scenario needs any more are removed.
    """
    lab = scenario.lab
    wanted = {render.bridge(scenario, network): network for network in scenario.networks}
    there = own_bridges(lab)
    commands = []
    for name, ours in there.items():
        if ours and name not in wanted:
            commands.append(f"link delete {name}")
    for name in wanted.keys() - there.keys():
        mac = render.mac(lab.directory, name)
        commands.append(
            f"link add {name} address {mac} type bridge "
            "stp_state 0 forward_delay 0 mcast_snooping 0"
        )
    if commands:
        _batch(commands)
    # Before a new bridge is up.
    changed = [_settle(name) for name in wanted]
    changed += [_bring_addresses(scenario, wanted), _bring_rules(scenario), bool(commands)]
    return any(changed)


def down(lab: Lab) -> bool:
    """Remove the lab's bridges (its addresses and routes go with them) and rules.

    Settings are put back as they were found, unless another lab still needs them.
    """
    ours = [name for name, own in own_bridges(lab).items() if own]
    if ours:
        _batch([f"link delete {name}" for name in ours])
    saved = run("iptables-save")
    before = _settings_before(saved)
    removal = _restore_text(saved, lab, {})
    if removal:
        run("iptables-restore", "--noflush", stdin=removal)
        if not _other_labs(saved, lab):
            for name, value in before.items():
                SETTINGS[name][0].write_text(f"{value}\n")
    return bool(ours or removal)


def rules(scenario: Scenario) -> dict[str, list[str]]:
    """Return the netfilter rules by table, as arguments of iptables, without their comment.

    Nothing is forwarded between networks of the lab: that is the firewall's and nobody else's
    work. Machines reach the outside through the management network, and replies come back.
    The drops stand in the table mangle, which a packet passes before filter, so that no rule of
    another lab or program (Docker, ufw) can let pass what these forbid; the accepts come first in
    filter since those programs drop by default. Frames between two ports of one bridge pass both
    where the kernel's br_netfilter is on: they are let through.
    """
    management = render.bridge(scenario, MANAGEMENT)
    lans = [render.bridge(scenario, network) for network in scenario.networks]
    lans.remove(management)
    source = scenario.networks[MANAGEMENT]
    chain = chain_name(scenario.lab)
    replies = "-m conntrack --ctstate RELATED,ESTABLISHED"
    drops = [f"-A {chain} -i {lan} -o {lan} -j RETURN" for lan in lans]
    drops += [f"-A {chain} {way} {lan} -j DROP" for lan in lans for way in ("-i", "-o")]
    drops += [
        f"-A {chain} -i {management} -o {management} -j DROP",
        f"-A {chain} ! -s {source} -i {management} -j DROP",
        f"-A {chain} -o {management} {replies} -j RETURN",
        f"-A {chain} -o {management} -j DROP",
    ]
    accepts = [f"-A {chain} -i {lan} -o {lan} -j ACCEPT" for lan in lans]
    accepts += [
        f"-A {chain} -i {management} -j ACCEPT",
        f"-A {chain} -o {management} {replies} -j ACCEPT",
    ]
    jump = f"-I FORWARD 1 -j {chain}"
    outside = f"-A POSTROUTING -s {source} ! -o {management} -j MASQUERADE"
    return {"mangle": [jump, *drops], "filter": [jump, *accepts], "nat": [outside]}


def chain_name(lab: Lab) -> str:
    """Return the name of the lab's own chain."""
    return f"{lab.bridge_prefix}lab"


def _tag(lab: Lab) -> str:
    return f"lab:{lab.bridge_prefix}"


def _bring_rules(scenario: Scenario) -> bool:
    """Bring rules and settings to what they must be; the rules' comment remembers the latter."""
    lab = scenario.lab
    saved = run("iptables-save")
    now = {name: int(path.read_text()) for name, (path, _) in SETTINGS.items()}
    before = {**now, **_settings_before(saved)}
    comment = ":".join([_tag(lab), *(f"{name}={value}" for name, value in before.items())])
    wanted = {
        table: [f'{rule} -m comment --comment "{comment}"' for rule in lines]
        for table, lines in rules(scenario).items()
    }
    changed = _tagged(saved, lab) != {
        table: sorted(map(_normal, lines)) for table, lines in wanted.items()
    }
    if changed:
        run("iptables-restore", "--noflush", stdin=_restore_text(saved, lab, wanted))
    for name, (path, least) in SETTINGS.items():
        if now[name] < least:
            path.write_text(f"{least}\n")
    return changed


def _restore_text(saved: str, lab: Lab, wanted: dict[str, list[str]]) -> str:
    """Return what iptables-restore needs to replace our rules by the wanted ones, "" if none."""
    text = ""
    chain = chain_name(lab)
    for table, block in _tables(saved).items():
        lines = [
            rule.replace("-A ", "-D ", 1)
            for rule in block
            if _is_ours(rule, lab) and not rule.startswith(f"-A {chain} ")
        ]
        if f":{chain} - [0:0]" in [re.sub(r"\[.*", "[0:0]", line) for line in block]:
            lines += [f"-F {chain}", f"-X {chain}"]
        if lines:
            text += "\n".join([f"*{table}", *lines, "COMMIT", ""])
    for table, lines in wanted.items():
        declared = [f":{chain} - [0:0]"] if table != "nat" else []
        text += "\n".join([f"*{table}", *declared, *lines, "COMMIT", ""])
    return text


def _tables(saved: str) -> dict[str, list[str]]:
    tables: dict[str, list[str]] = {}
    block: list[str] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            block = tables.setdefault(line[1:].strip(), [])
        elif line[:1] in (":", "-"):
            block.append(line)
    return tables


def _is_ours(rule: str, lab: Lab) -> bool:
    return re.search(rf'--comment "?{re.escape(_tag(lab))}:', rule) is not None


def _normal(rule: str) -> tuple[str, ...]:
    """Return the words of a rule in an order that does not depend on how iptables prints them."""
    text = rule.replace("-I FORWARD 1 ", "-A FORWARD ").replace('"', "")
    return tuple(sorted(text.split()))


def _tagged(saved: str, lab: Lab) -> dict[str, list[tuple[str, ...]]]:
    found = {
        table: sorted(_normal(rule) for rule in block if _is_ours(rule, lab))
        for table, block in _tables(saved).items()
    }
    return {table: lines for table, lines in found.items() if lines}


def _settings_before(saved: str) -> dict[str, int]:
    """Return each setting before the first lab came up, as the rules of any lab tell."""
    match = re.search(r'--comment "?lab:[^ ":]*:(\S*?)"? ', saved)
    return {
        name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", match[1] if match else "")
    }


def _other_labs(saved: str, lab: Lab) -> bool:
    return any(tag != _tag(lab) for tag in re.findall(r'--comment "?(lab:[^ ":]*):', saved))


def _batch(commands: Iterable[str]) -> None:
    run("ip", "-batch", "-", stdin="\n".join(commands) + "\n")


def _settle(name: str) -> bool:
    """Set a bridge's switches; return whether any was not as it must be."""
    changed = False
    for path, text in SWITCHES.items():
        switch = Path("/proc/sys/net", path.format(name))
        # A computer without IPv6 lacks the one for it.
        if switch.exists() and switch.read_text().strip() != text:
            switch.write_text(f"{text}\n")
            changed = True
    return changed


def _bring_addresses(scenario: Scenario, wanted: dict[str, str]) -> bool:
    """Give this computer its addresses and routes, and no others, on the lab's bridges."""
    have = {link["ifname"]: link for link in json.loads(run("ip", "-json", "address", "show"))}
    commands = []
    for name, network in wanted.items():
        mine = addresses(scenario, network)
        there = [
            f"{entry['local']}/{entry['prefixlen']}"
            for entry in have.get(name, {}).get("addr_info", [])
            if entry["family"] == "inet"
        ]
        if sorted(mine) != sorted(there):
            commands.append(f"address flush dev {name} scope global")
            commands += [f"address add {address} dev {name}" for address in mine]
        if "UP" not in have.get(name, {}).get("flags", []):
            commands.append(f"link set {name} up")
    there_routes = {
        (entry["dst"], entry.get("gateway", ""), entry.get("dev", ""))
        for entry in json.loads(run("ip", "-json", "-4", "route", "show"))
        if entry.get("dev") in wanted and entry.get("gateway")
    }
    mine_routes = set(routes(scenario))
    commands += [
        f"route delete {to} via {via} dev {dev}" for to, via, dev in there_routes - mine_routes
    ]
    flushed = any("flush" in command for command in commands)
    commands += [
        f"route replace {to} via {via} dev {dev}"
        for to, via, dev in (mine_routes if flushed else mine_routes - there_routes)
    ]
    if commands:
        _batch(commands)
    return bool(commands)
