"""What the lab does as root: bring machines up, take them down, say how they are.

`perform` is the one way in, called by fabfile.lab.commands directly or through sudo. What needs
the person's own files (passwords, keys) comes in a `Request`; nothing here writes to those.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from fabfile.engine.words import counted
from fabfile.lab import apparmor, disk, images, machines, network, preflight, render, rough
from fabfile.lab.host import LabError, answers_ssh, one_at_a_time
from fabfile.lab.planning import Plan, Request, lab_machines, plan, wanted_kind
from fabfile.scenario import Machine, Scenario


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


def perform(scenario: Scenario, request: Request) -> list[dict[str, str]] | None:
    """Do what is asked; return the rows of `status`, None of all else. Raises LabError."""
    directory = scenario.lab.directory
    if request.action == "status":
        return status(scenario)
    if request.action == "down" and not directory.exists():
        down(scenario, request)
        return None
    actions = {"up": up, "down": down, "remove": remove, "stop": stop, "start": start}
    with one_at_a_time(directory, say):
        actions[request.action](scenario, request)
    return None


def up(scenario: Scenario, request: Request) -> None:
    """Start the machines asked for, making those that are missing or no longer as described."""
    begin = time.monotonic()
    lab, records = scenario.lab, machines.records(scenario.lab)
    made = {name: record for name, record in records.items() if record}
    running = machines.running(lab) - _cut_off(scenario)
    todo = plan(scenario, request, records, running)
    busy = [scenario.machine(name) for name in [*todo.create, *todo.start]]
    problems = preflight.problems(scenario, busy, bool(todo.create))
    if problems:
        raise LabError("\n".join(problems))
    for name in todo.remove:
        machines.remove(lab, name)
        say(f"{name:7} removed: the scenario has no such machine any more")
    changed = network.up(scenario)
    machines.write_isolate(lab)
    layers = _images(scenario, request, todo)
    soft = {machine.name: _soft(scenario, machine, request) for machine in lab_machines(scenario)}

    def work(machine: Machine) -> None:
        if machine.name in todo.create:
            if reason := todo.create[machine.name]:
                say(f"{machine.name:7} is made again: {reason}")
            kind, like = wanted_kind(request, records.get(machine.name)), layers[machine.name]
            read = partial(disk.read, like)
            extra = rough.files(scenario, machine, read) if kind == "rough" else {}
            machines.create(scenario, machine, like, kind, soft[machine.name], extra)
        else:
            machines.refresh(scenario, machine, made[machine.name], soft[machine.name])
        machines.start(scenario, machine)
        say(f"{machine.name:7} answers SSH after {time.monotonic() - begin:.1f} s")

    _on_each(busy, work)
    others = [m for m in lab_machines(scenario) if m.name in made and m not in busy]
    refreshed = _refresh(scenario, request, others)
    # They may be booting still: started by a run that was killed. Whoever wants some machines does
    # not wait for others, which may hang.
    asked = {*request.machines} or {*running}
    booting = [machine for machine in others if machine.name in running & asked]
    _on_each(booting, lambda machine: machines.await_ssh(lab, machine))
    seconds = time.monotonic() - begin
    if busy:
        say(f"lab     {counted(len(busy), 'machine')} up after {seconds:.1f} s")
    elif changed or todo.remove or refreshed:
        say(f"lab     networks and names brought up to date in {seconds:.1f} s")
    else:
        say(f"lab     nothing to do: {counted(len(records), 'machine')} up ({seconds:.1f} s)")


def down(scenario: Scenario, request: Request) -> None:
    """Remove machines, networks and rules, and on request the images; also after a killed run."""
    begin = time.monotonic()
    lab = scenario.lab
    names = sorted(machines.records(lab))
    with ThreadPoolExecutor(max_workers=16) as pool:
        for future in [pool.submit(machines.remove, lab, name) for name in names]:
            future.result()
    apparmor.down(lab)
    changed = network.down(lab)
    for remains in machines.images(lab).glob(f"{images.NEW}*"):
        shutil.rmtree(remains)
    if request.images:
        images.prune(machines.images(lab), ())
        shutil.rmtree(lab.directory, ignore_errors=not lab.directory.exists())
    if names or changed:
        say(f"lab     {counted(len(names), 'machine')} removed in {time.monotonic() - begin:.1f} s")
    else:
        say("lab     nothing to do: no machine, bridge or rule is there")


def remove(scenario: Scenario, request: Request) -> None:
    """Remove machines that the scenario has no more; the others forget their names."""
    if kept := {machine.name for machine in scenario.machines} & {*request.machines}:
        raise LabError(f"{', '.join(sorted(kept))} is of the scenario: take it out of that first.")
    for name in machines.records(scenario.lab).keys() & {*request.machines}:
        machines.remove(scenario.lab, name)
        say(f"{name:7} removed")
    records = machines.records(scenario.lab)
    _refresh(scenario, request, [m for m in lab_machines(scenario) if records.get(m.name)])


def stop(scenario: Scenario, request: Request) -> None:
    """Shut machines down, or take them away at once."""
    running = machines.running(scenario.lab)
    for name in request.machines:
        machines.stop(scenario.lab, name, kill=request.kill)
        say(f"{name:7} {'is stopped' if name in running else 'was not running'}")


def start(scenario: Scenario, request: Request) -> None:
    """Start machines that were stopped."""
    records, running = machines.records(scenario.lab), machines.running(scenario.lab)
    missing = [name for name in request.machines if not records.get(name)]
    if missing:
        raise LabError(f"There is no machine {', '.join(missing)} yet: run lab.up.")
    up(scenario, request) if set(request.machines) - running else say("lab     nothing to do")


def status(scenario: Scenario) -> list[dict[str, str]]:
    """Return what is to be said of each machine: name, tier, address, state, image, SSH."""
    records, running = machines.records(scenario.lab), machines.running(scenario.lab)

    def row(machine: Machine) -> dict[str, str]:
        record, address = records.get(machine.name), machine.management
        state = "running" if machine.name in running else "stopped" if record else "absent"
        greets = state == "running" and answers_ssh(address, render.port(machine), 1)
        return {
            "machine": machine.name,
            "tier": " ".join(machine.tiers),
            "address": address,
            "state": state,
            "image": record.kind if record else "",
            "SSH": "answers" if greets else "",
        }

    with ThreadPoolExecutor(max_workers=16) as pool:
        return list(pool.map(row, lab_machines(scenario)))


def _cut_off(scenario: Scenario) -> set[str]:
    """Kill the running machines that have lost a bridge, and answer their names.

    A bridge that somebody removed and we make again does not get its old ports back.
    """
    lost = network.missing(scenario)
    running = machines.running(scenario.lab) if lost else set()
    names = {
        machine.name
        for machine in lab_machines(scenario)
        if machine.name in running and lost & machine.addresses.keys()
    }
    for name in names:
        say(f"{name:7} is started again: its network was gone")
        machines.stop(scenario.lab, name, kill=True)
    return names


def _images(scenario: Scenario, request: Request, todo: Plan) -> Mapping[str, list[Path]]:
    """Build what the new machines start from; return machine name -> its layers, upper first."""
    records = machines.records(scenario.lab)
    if not todo.create:
        return {}
    everyone = lab_machines(scenario)
    stock = images.Stock(
        machines.images(scenario.lab),
        images.users(render.user(machine) for machine in everyone),
        Path(request.images_from) if request.images_from else None,
        say,
    )
    prepared = {m.name: (m.release, tuple(request.packages.get(m.name, ()))) for m in everyone}
    more = {"bare": (), "rough": rough.PACKAGES}
    wanted = {
        name: (scenario.machine(name).release, more[kind]) if kind in more else prepared[name]
        for name in todo.create
        for kind in [wanted_kind(request, records.get(name))]
    }
    found = stock.ensure(wanted)
    used = [each for name, each in records.items() if each and name not in todo.create]
    layers = {Path(layer).name for record in used for layer in record.layers}
    images.prune(stock.directory, layers | stock.names([*prepared.values(), *wanted.values()]))
    return found


def _refresh(scenario: Scenario, request: Request, those: list[Machine]) -> bool:
    """Bring names, name servers and keys of machines up to date; answers whether any was not."""
    records = machines.records(scenario.lab)

    def refresh(machine: Machine) -> bool:
        record = records[machine.name]
        soft = _soft(scenario, machine, request)
        return record is not None and machines.refresh(scenario, machine, record, soft)

    with ThreadPoolExecutor(max_workers=16) as pool:
        return any(list(pool.map(refresh, those)))


def _soft(scenario: Scenario, machine: Machine, request: Request) -> dict[str, str]:
    def text(path: str) -> str:
        return Path(path).read_text() if Path(path).exists() else ""

    resolv_conf = render.resolv_conf(
        text("/etc/resolv.conf"), text("/run/systemd/resolve/resolv.conf")
    )
    hosts = render.hosts(scenario, machine)
    record = machines.records(scenario.lab).get(machine.name)
    return {
        "/etc/hosts": rough.hosts(hosts, machine)
        if wanted_kind(request, record) == "rough"
        else hosts,
        "/etc/resolv.conf": resolv_conf,
        f"{render.home(machine)}/.ssh/authorized_keys": request.public_keys[machine.name],
    }


def _on_each(todo: list[Machine], work: Callable[[Machine], None]) -> None:
    with ThreadPoolExecutor(max_workers=16) as pool:
        futures = [pool.submit(work, machine) for machine in todo]
    failures = [str(error) for future in futures if (error := future.exception())]
    if failures:
        raise LabError("\n".join(failures))
