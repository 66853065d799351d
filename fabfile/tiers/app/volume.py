"""The volume of uploads on an app server: its mount, what watches that, and what came before it."""

from __future__ import annotations

from pathlib import Path

from fabfile.engine.change import Resource
from fabfile.engine.resources import Directory, File, Never, Run, Service
from fabfile.scenario import Machine, Scenario
from fabfile.scenario.flows import sources
from fabfile.tiers.app import health, release
from fabfile.tiers.app.units import UNITS
from fabfile.tiers.storage import mounting
from fabfile.tiers.storage.volumes import uploads
from fabfile.tiers.templates import template

MOUNT = "/mnt/nas"
MOUNT_UNIT, WATCH_UNIT = mounting.mount_unit(MOUNT), mounting.watch_unit(MOUNT)
# What tells the balancer whether the volume answers.
HEALTH_UNIT = "mnt-nas-health.service"
HEALTH = Path(__file__).with_name("mount_health.py")
PROGRAMS = "/usr/local/lib/crm-deployer"


def mount(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say how an app server mounts the volume: from the first storage server that answers."""
    if not scenario.tier("storage"):
        return [_never_shared(), *_mount_health(scenario, machine, "/")]
    servers = [scenario.address(each, seen_by=machine) for each in scenario.tier("storage")]
    name = scenario.application.name
    return [
        *mounting.mount(uploads(scenario), MOUNT, servers),
        *_mount_health(scenario, machine, MOUNT),
        Directory(
            f"{MOUNT}/{name}",
            mode=0o750,
            owner=name,
            group=name,
            within=MOUNT,
            whole=mounting.whole(MOUNT),
        ),
        _brought(scenario),
    ]


def _never_shared() -> Never:
    return Never(
        f"[ -e {UNITS}/{MOUNT_UNIT} ]",
        f"its uploads are on the volume at {MOUNT}, and MACHINES has no storage server any more: "
        "name those again, or, once you have copied the uploads, 'systemctl disable --now "
        f"{WATCH_UNIT} {MOUNT_UNIT}' and remove {UNITS}/{MOUNT_UNIT} there",
    )


def _brought(scenario: Scenario) -> Run:
    """Return what brings the uploads from before there was a volume onto it.

    They lie below the mount point of the service; nobody sees them once it has the volume.
    """
    name = scenario.application.name
    local, shared = f"{release.home(name)}/uploads", f"{MOUNT}/{name}"
    return Run(
        "bring the uploads of before onto the volume",
        # Not the directory itself, whose rights are the volume's own.
        f"find {local} -mindepth 1 -maxdepth 1 -exec cp -an -t {shared} {{}} +\n"
        f"find {local} -mindepth 1 -delete",
        unless=f'[ -z "$(find {local} -mindepth 1 -print -quit)" ]',
        seconds=3600,
    )


def _mount_health(scenario: Scenario, machine: Machine, where: str) -> list[Resource]:
    """Return what tells the balancer whether the file system of the uploads answers here."""
    port = scenario.ports["volume"]
    asking = [each for tier in sources("app", "volume") for each in scenario.tier(tier)]
    program = File(f"{PROGRAMS}/mount-health", HEALTH.read_text(), mode=0o755)
    unit = template(
        f"{UNITS}/{HEALTH_UNIT}",
        program=program.path,
        where=where,
        addresses=dict.fromkeys(scenario.address(machine, seen_by=each) for each in asking),
        port=port,
        allowed=[scenario.address(each, seen_by=machine) for each in asking],
    )
    service = Service(HEALTH_UNIT, restart=(program.key, unit.key), alive=health.works("$main_pid"))
    return [program, unit, service]
