"""The systemd units of an application: its web process, and the processes beside it.

The web process is NAME.service; the others, NAME@PROCESS.service, start and stop with it.
"""

from __future__ import annotations

from pathlib import Path

from fabfile.engine.resources import File, Run, Service
from fabfile.scenario import Application, Machine, Process, Scenario
from fabfile.scenario.flows import sources
from fabfile.tiers.app import health, release
from fabfile.tiers.database import cluster
from fabfile.tiers.templates import template

UNITS = "/etc/systemd/system"
PROGRAM = "/usr/local/lib/crm-deployer/only-one"
SOURCE = Path(__file__).with_name("only_one.py")
# Time for a process to end what it does, and for the new one to show that it stays.
STEADY_SECONDS, PROCESS_SECONDS = 3, 60


def names(application: Application) -> tuple[str, ...]:
    """Return the units of an application, that of the web process first."""
    others = (_name(application, process) for process in application.processes)
    return (f"{application.name}.service", *others)


def _name(application: Application, process: Process) -> str:
    return f"{application.name}@{process.name}.service"


def files(scenario: Scenario, machine: Machine, mount: str, mount_unit: str) -> list[File]:
    """Return the unit files, in the order of `names`, where the volume is mounted on `mount`."""
    application = scenario.application

    def unit(name: str, command: str, process: Process | None = None) -> File:
        return template(
            f"{UNITS}/{name}",
            source=f"{UNITS}/application.service",
            application=application,
            process=process,
            command=command,
            home=release.home(application.name),
            mount=mount,
            mount_unit=mount_unit,
            allowed=_peers(scenario, machine),
        )

    web, *others = names(application)
    return [
        unit(web, f"/bin/bash -c {argument(application.start)}"),
        *(
            unit(name, _command(scenario, machine, process), process)
            for name, process in zip(others, application.processes, strict=True)
        ),
    ]


def _command(scenario: Scenario, machine: Machine, process: Process) -> str:
    if not process.single:
        return f"/bin/bash -c {argument(process.start)}"
    psql = cluster.program("psql", scenario.debian(machine))
    # Past the pooler: the lock is the session's, and PostgreSQL must see its server fall silent.
    port = scenario.ports["database"]
    return f"{PROGRAM} {psql} {port} {process.name} {argument(process.start)}"


def argument(text: str) -> str:
    """Return a word of ExecStart= that systemd takes as it is: systemd.service(5)."""
    for sign, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$"), ("\n", "\\n")):
        text = text.replace(sign, written)
    return f'"{text}"'


def program(scenario: Scenario) -> list[File]:
    """Return the program that runs a process on one server, where there is one to run."""
    if not any(process.single for process in scenario.application.processes):
        return []
    return [File(PROGRAM, SOURCE.read_text(), mode=0o755)]


def stopped(scenario: Scenario) -> Run:
    """Return what stops the processes that the application had, and has no more."""
    _web, *kept = names(scenario.application)
    old = f"{UNITS}/{scenario.application.name}@*.service"
    wanted = "".join(f" | {UNITS}/{name}" for name in kept)
    skip = f'case "$unit" in *"*"*{wanted}) continue ;; esac'
    each = f"for unit in {old}; do {skip}"
    return Run(
        f"remove the processes that {scenario.application.name} has no more",
        f'{each}\nsystemctl -q disable --now "${{unit##*/}}"\nrm "$unit"\ndone',
        unless=f"( {each}\nexit 1\ndone )",
    )


def services(scenario: Scenario, changed: tuple[str, ...] = (), alive: str = ":") -> list[Service]:
    """Return the services of the processes, which restart with `changed` and their own files."""
    current = f"{release.home(scenario.application.name)}/current"
    return [
        Service(
            name,
            restart=(f"{UNITS}/{name}", *changed, *(file.key for file in program(scenario))),
            ready=health.steady(name, current, STEADY_SECONDS),
            alive=f"{{ {health.works('$main_pid')} && {alive}; }}",
            limit=PROCESS_SECONDS,
        )
        for name in names(scenario.application)[1:]
    ]


def _peers(scenario: Scenario, machine: Machine) -> list[str]:
    """Return the addresses that the application's processes speak with.

    Those who ask it and the database: the volume is the mount's, whose process is another.
    """
    peers = [each for tier in sources("app", "http") for each in scenario.tier(tier)]
    peers += scenario.tier("database")
    shared = map(str, scenario.floating.get("database", {}).values())
    return list(
        dict.fromkeys([*(scenario.address(each, seen_by=machine) for each in peers), *shared])
    )


def places(application: Application) -> list[str]:
    """Return shell that prints of each process that is to run once whether it runs here."""
    return [
        f'echo "{process.name}: $(systemctl show -P StatusText {_name(application, process)})"'
        for process in application.processes
        if process.single
    ]
