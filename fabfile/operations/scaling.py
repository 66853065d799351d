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
from itertools import chain
from typing import Literal

from invoke.exceptions import Exit

from fabfile import pipeline
from fabfile.engine.remote import MachineError, Remote
from fabfile.lab import machines as containers
from fabfile.operations.deployment import bring, planned
from fabfile.operations.membership import loaded, unknown, with_servers, without_servers
from fabfile.operations.progress import console
from fabfile.operations.session import (
    connected,
    operation,
    refuse,
    scenario,
    without_absent,
)
from fabfile.operations.spread import by_number, show_spread
from fabfile.scenario import Machine, Pinned, Scenario, deployed, inventory_file
from fabfile.scenario.inventory import write
from fabfile.tiers.app import servers
from fabfile.tiers.balancer import every, haproxy


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
    with_servers(before, names, host, given or {})
    with operation(before, _concerned(before), f"add-server {' '.join(names)}", wait) as remotes:
        # Someone else may have had the lock until now, and other servers with it.
        before = scenario()
        grown = with_servers(before, names, host, given or {})
        grown = without_absent(grown, _concerned(before), remotes)
        # What speaks against it is said before a machine is made for it.
        planned(pipeline.listing(grown), remotes, grown)
        pinned = replace(grown, pinned=_running_release(before, _lbs(before, remotes)))
        if not pinned.pinned:
            raise refuse(
                "No app server is healthy, so there is no running release: fab deploy first."
            )
        if not host and containers.there(grown.lab) is not None:
            _in_lab("up", grown, names)
        with connected(grown, names) as new:
            bring(pinned, pipeline.adding(pinned, names), {**remotes, **new}, started)
        # Before it is written down: with a silent server, the next run begins with it again.
        show_spread(grown, names)
        write(inventory_file(grown.state), grown.inventory)


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
    without_servers(before, names)
    with operation(before, _concerned(before), f"remove-server {' '.join(names)}", wait) as remotes:
        before = scenario()
        left = without_servers(before, names)
        left = without_absent(left, _concerned(before), remotes)
        lbs = _lbs(before, remotes)
        _keep_one_up(lbs, names, force)
        with ThreadPoolExecutor(4) as pool:
            drained = pool.map(lambda name: every.drain(lbs, name, limit, console.print), names)
            for words in chain.from_iterable(drained):
                console.print(words)
        changes = bring(left, pipeline.removing(left), remotes, started)
        made = sorted((containers.there(left.lab) or set()) & {*names})
        if made:
            _in_lab("remove", left, made)
            deployed.forget(left, made)
        known = [machine for machine in before.tier("app") if machine.name in names]
        for machine in known:
            if machine.name not in made:
                _retire(before, machine)
        if known:
            write(inventory_file(left.state), left.inventory)
        elif not changes and not made:
            raise refuse(unknown(before, names))
    show_spread(left)


def scale(count: int, wait: bool = False) -> None:
    """Add or remove the highest-numbered app servers until so many are there."""
    now = sorted((machine.name for machine in scenario().tier("app")), key=by_number)
    if count == len(now):
        console.print(f"nothing to do: there are {count} app servers: {', '.join(now)}")
    elif count < len(now):
        remove(now[count:], wait=wait)
    else:
        highest = by_number(now[-1])[0]
        add([f"s{highest + more}" for more in range(1, count - len(now) + 1)], wait=wait)


def maintenance(name: str, state: str, force: bool = False, wait: bool = False) -> None:
    """Set an app server aside, over deploys and reloads, or take it back; raises Exit."""
    started = time.monotonic()
    if state not in ("on", "off"):
        raise refuse(f"maintenance is {state!r}, it must be on or off.")
    if name not in [machine.name for machine in scenario().tier("app")]:
        raise refuse(unknown(scenario(), [name]))
    before = scenario()
    needed = [] if state == "on" else [*_concerned(before), name]
    needed += [machine.name for machine in before.balancers]
    with operation(before, needed, f"maintenance {name} {state}", wait) as remotes:
        before = scenario()
        changed = loaded(before, before.inventory.maintaining(name, state == "on"))
        changed = without_absent(changed, [*{*needed} - {name}], remotes)
        stages = pipeline.routing(changed)
        if state == "on":
            _keep_one_up(_lbs(before, remotes), [name], force)
        elif name not in remotes:
            raise refuse(f"{name} cannot be reached, so it stays in maintenance: start it first.")
        elif found := _running_release(before, _lbs(before, remotes)):
            # It may have been away while the others got another release.
            stages = pipeline.adding(replace(changed, pinned=found), [name])
        bring(changed, stages, remotes, started)
        write(inventory_file(changed.state), changed.inventory)
    gets = "gets no clients until 'off'" if state == "on" else "gets clients again"
    console.print(f"{name} {gets}")


def number(option: str, text: str, least: int = 0) -> int:
    """Return the number that a person gave for an option; raises Exit when it is none."""
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) < least:
        raise refuse(f"{option} is {text!r}, it must be a whole number from {least} up.")
    return int(text)


def _concerned(known: Scenario) -> list[str]:
    """Return the machines that must know which app servers there are."""
    return list(dict.fromkeys(name for s in pipeline.removing(known) for name in s.machines))


def _lbs(known: Scenario, remotes: Mapping[str, Remote]) -> list[Remote]:
    """Return the balancers that were reached: one at least."""
    return [remotes[each.name] for each in known.balancers if each.name in remotes]


def _keep_one_up(lbs: Sequence[Remote], names: Sequence[str], force: bool) -> None:
    up = {name for name, status in every.statuses(lbs).items() if status.startswith("UP")}
    if up and not up - {*names} and not force:
        raise refuse(
            f"No app server but {', '.join(sorted(up))} is healthy, so the users would have none; "
            "--force does it anyway."
        )


def _running_release(before: Scenario, lbs: Sequence[Remote]) -> Pinned | None:
    """Return the release that most healthy servers run, and the first that has it; None if none."""
    statuses = every.statuses(lbs)
    up = [m for m in before.tier("app") if statuses.get(m.name, "").startswith("UP")]

    def release(machine: Machine) -> str:
        with closing(Remote(machine.name, machine.ssh)) as remote:
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
    with closing(Remote(machine.name, machine.ssh)) as remote:
        try:
            remote.run(servers.retired(before), seconds=90)
        except MachineError as error:
            console.print(
                f"{error}\n{machine.name} still holds the passwords of the application: "
                "see that it does not come back",
                markup=False,
            )


def _in_lab(action: Literal["up", "remove"], wanted: Scenario, names: Sequence[str]) -> None:
    # Only here: to read all of the lab takes time, and machines elsewhere need nothing of it.
    from fabfile.lab import commands
    from fabfile.lab.host import LabError

    try:
        if action == "up":
            commands.up(wanted, names)
        else:
            commands.remove(wanted, names)
    except LabError as error:
        raise Exit(str(error), 1) from None
