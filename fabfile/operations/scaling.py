"""Adds and removes app servers, and sets them aside, while clients are being served.

The desired state is the same as for deploy, of a scenario with the servers in it or without; so a
run that was killed is finished by the next, and undone by removing. The inventory file is written
last: until then, the servers are as before for every other task.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

from invoke.exceptions import Exit

from fabfile import haproxy, pipeline, servers
from fabfile.engine.remote import MachineError, Remote
from fabfile.operations.deployment import bring, planned
from fabfile.operations.progress import console
from fabfile.operations.session import connected, operation, refuse, scenario
from fabfile.operations.spread import by_number, show_spread
from fabfile.scenario import Machine, Pinned, Scenario, ScenarioError, inventory_file, load
from fabfile.scenario.addresses import AddressError, allocate
from fabfile.scenario.inventory import Inventory, write
from fabfile.scenario.machines import HOST_NAME


def add(
    names: Sequence[str],
    host: str = "",
    given: Mapping[str, str] | None = None,
    wait: bool = False,
) -> None:
    """Add app servers: machines of the lab, or the one at `host`; raises Exit on failure.

    `given` holds addresses asked for, by network; the others are the next free ones.
    """
    started = time.monotonic()
    before = scenario()
    _with(before, names, host, given or {})
    with operation(before, _behind(before), f"add-server {' '.join(names)}", wait) as remotes:
        # Someone else may have had the lock until now, and other servers with it.
        before = scenario()
        grown = _with(before, names, host, given or {})
        # What speaks against it is said before a machine is made for it.
        planned([s for s in pipeline.stages(grown) if s.name == "database"], remotes, grown)
        pinned = replace(grown, pinned=_running_release(before, remotes[_balancer(before)]))
        if not pinned.pinned:
            raise refuse(
                "No app server is healthy, so there is no running release: fab deploy first."
            )
        if not host and _lab_machines(grown) is not None:
            _in_lab("up", grown, names)
        with connected(grown, names) as new:
            bring(pinned, pipeline.growing(pinned, names), {**remotes, **new}, started)
        # Before it is written down: with a silent server, the next run begins with it again.
        show_spread(grown, names)
        write(inventory_file(grown.name), grown.inventory)


def remove(
    names: Sequence[str],
    limit: int = haproxy.DRAIN_SECONDS,
    force: bool = False,
    wait: bool = False,
) -> None:
    """Remove app servers, also dead or half-added ones; raises Exit on failure.

    Their requests have `limit` seconds to end. `force` lets the only healthy one go.
    """
    started = time.monotonic()
    before = scenario()
    _without(before, names)
    with operation(before, _behind(before), f"remove-server {' '.join(names)}", wait) as remotes:
        before = scenario()
        left = _without(before, names)
        lb = remotes[_balancer(before)]
        _keep_one_up(lb, names, force)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda name: haproxy.drain(lb, name, limit), names))
        changes = bring(left, pipeline.shrinking(left), remotes, started)
        made = sorted((_lab_machines(left) or set()) & {*names})
        if made:
            _in_lab("remove", left, made)
        known = [machine for machine in before.tier("app") if machine.name in names]
        for machine in known:
            if machine.name not in made:
                _retire(before, machine)
        if known:
            write(inventory_file(left.name), left.inventory)
        elif not changes and not made:
            raise refuse(_unknown(before, names))
    show_spread(left)


def scale(servers: int, wait: bool = False) -> None:
    """Add or remove the highest-numbered app servers until so many are there."""
    now = sorted((machine.name for machine in scenario().tier("app")), key=by_number)
    if servers == len(now):
        console.print(f"nothing to do: there are {servers} app servers: {', '.join(now)}")
    elif servers < len(now):
        remove(now[servers:], wait=wait)
    else:
        highest = by_number(now[-1])[0]
        add([f"s{highest + more}" for more in range(1, servers - len(now) + 1)], wait=wait)


def maintenance(name: str, state: str, force: bool = False, wait: bool = False) -> None:
    """Set an app server aside, over deploys and reloads, or take it back; raises Exit."""
    started = time.monotonic()
    if state not in ("on", "off"):
        raise refuse(f"maintenance is {state!r}, it must be on or off.")
    if name not in [machine.name for machine in scenario().tier("app")]:
        raise refuse(_unknown(scenario(), [name]))
    before = scenario()
    needed = [_balancer(before)] if state == "on" else [*_behind(before), name]
    with operation(before, needed, f"maintenance {name} {state}", wait) as remotes:
        before = scenario()
        changed = _loaded(before, before.inventory.resting(name, state == "on"))
        stages = pipeline.routing(changed)
        if state == "on":
            _keep_one_up(remotes[_balancer(before)], [name], force)
        elif name not in remotes:
            raise refuse(f"{name} cannot be reached, so it stays in maintenance: start it first.")
        elif found := _running_release(before, remotes[_balancer(before)]):
            # It may have been away while the others got another release.
            stages = pipeline.growing(replace(changed, pinned=found), [name])
        bring(changed, stages, remotes, started)
        write(inventory_file(changed.name), changed.inventory)
    gets = "gets no clients until 'off'" if state == "on" else "gets clients again"
    console.print(f"{name} {gets}")


def number(option: str, text: str, least: int = 0) -> int:
    """Answer the number that a person gave for an option; raises Exit when it is none."""
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) < least:
        raise refuse(f"{option} is {text!r}, it must be a whole number from {least} up.")
    return int(text)


def _with(before: Scenario, names: Sequence[str], host: str, given: Mapping[str, str]) -> Scenario:
    """Answer the scenario with more servers in it; raises Exit when it cannot have them."""
    described = _loaded(before, Inventory())
    grown = before
    for name in names:
        if not HOST_NAME.fullmatch(name):
            raise refuse(
                f"{name!r} is not a valid host name: lower-case letters, digits and inner hyphens."
            )
        for machine in grown.machines:
            if machine.name == name:
                raise refuse(f"The name {name} is in use: a machine of the tier {machine.tier}.")
        entry = None
        if name in [machine.name for machine in described.machines]:
            if host or given:
                raise refuse(f"{name} stands in config.py with its addresses: add it by its name.")
        else:
            entry = _entry(name, grown, described, host, given)
        grown = _loaded(before, grown.inventory.adding(name, entry))
    return grown


def _entry(
    name: str, grown: Scenario, described: Scenario, host: str, given: Mapping[str, str]
) -> dict[str, str]:
    """Answer a new server's entry, as it would stand in MACHINES."""
    if not host and _lab_machines(grown) is None:
        raise refuse(
            f"There is no lab on this computer to make {name} in: start it by lab.up, "
            "or name a machine by --host user@address."
        )
    networks = ["lan3", "lan4", *([] if host else ["management"])]
    # Those of removed servers stay theirs: the machines may still run, and come back.
    taken = {
        address: machine.name
        for machine in (*described.machines, *grown.machines)
        for address in machine.addresses.values()
    }
    try:
        found = allocate(name, {key: grown.networks[key] for key in networks}, taken, given)
    except AddressError as error:
        raise refuse(f"{error}.") from None
    return {"tier": "app", **found, **({"ssh": host} if host else {})}


def _without(before: Scenario, names: Sequence[str]) -> Scenario:
    """Answer the scenario without some servers; unknown ones may be half-added. Raises Exit."""
    inventory = before.inventory
    for name in names:
        found = [machine for machine in before.machines if machine.name == name]
        if found and found[0].tier != "app":
            raise refuse(f"{name} is no app server but of the tier {found[0].tier}.")
        if not found and not HOST_NAME.fullmatch(name):
            raise refuse(_unknown(before, names))
        inventory = inventory.removing(name) if found else inventory
    if not {machine.name for machine in before.tier("app")} - {*names}:
        raise refuse(f"{', '.join(names)} would leave no app server: add another one first.")
    return _loaded(before, inventory)


def _loaded(before: Scenario, inventory: Inventory) -> Scenario:
    try:
        return load(before.source, inventory)
    except ScenarioError as error:
        raise Exit(str(error), 1) from None


def _unknown(before: Scenario, names: Sequence[str]) -> str:
    known = ", ".join(machine.name for machine in before.tier("app"))
    return f"There is no app server {', '.join(names)}; there are {known}."


def _balancer(known: Scenario) -> str:
    return known.tier("balancer")[0].name


def _behind(known: Scenario) -> list[str]:
    """Answer the machines that must know which app servers there are."""
    return list(dict.fromkeys(name for s in pipeline.shrinking(known) for name in s.machines))


def _keep_one_up(lb: Remote, names: Sequence[str], force: bool) -> None:
    up = {name for name, status in haproxy.statuses(lb).items() if status.startswith("UP")}
    if up and not up - {*names} and not force:
        raise refuse(
            f"No app server but {', '.join(sorted(up))} is healthy, so the users would have none; "
            "--force does it anyway."
        )


def _running_release(before: Scenario, lb: Remote) -> Pinned | None:
    """Return the release that most healthy servers run, and the first that has it; None if none."""
    statuses = haproxy.statuses(lb)
    up = [m for m in before.tier("app") if statuses.get(m.name, "").startswith("UP")]

    def release(machine: Machine) -> str:
        with closing(Remote(machine.name, machine.login)) as remote:
            try:
                return remote.run(servers.running_release(before), seconds=20).text.strip()
            except MachineError:
                return ""  # it serves, but it cannot be asked: another one can

    with ThreadPoolExecutor(16) as pool:
        found = dict(zip([m.name for m in up], pool.map(release, up), strict=True))
    counted = Counter(identifier for identifier in found.values() if identifier)
    if not counted:
        return None
    ((most, _),) = counted.most_common(1)
    return Pinned(most, next(name for name in found if found[name] == most))


def _retire(before: Scenario, machine: Machine) -> None:
    """Stop a removed server's application and forget its secrets there, if it can be reached."""
    with closing(Remote(machine.name, machine.login)) as remote:
        try:
            remote.run(servers.retired(before), seconds=90)
        except MachineError as error:
            console.print(
                f"{error}\n{machine.name} still holds the passwords of the application: "
                "see that it does not come back",
                markup=False,
            )


def _lab_machines(known: Scenario) -> set[str] | None:
    """Answer the names of the lab's machines on this computer, None when there is no lab."""
    directory = known.lab.directory / "machines"
    return {home.name for home in directory.iterdir()} if directory.is_dir() else None


def _in_lab(action: str, wanted: Scenario, names: Sequence[str]) -> None:
    # Only here: on machines elsewhere, nothing of the lab is needed.
    from fabfile.lab import commands
    from fabfile.lab.host import LabError

    try:
        {"up": commands.up, "remove": commands.remove}[action](wanted, names)
    except LabError as error:
        raise Exit(str(error), 1) from None
