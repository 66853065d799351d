"""How a machine mounts a volume of the storage servers, and does so again when its client died."""

from __future__ import annotations

from collections.abc import Sequence

from fabfile.engine.change import Resource
from fabfile.engine.resources import Service
from fabfile.tiers.app.health import works
from fabfile.tiers.storage.volumes import Volume
from fabfile.tiers.templates import template

UNITS = "/etc/systemd/system"


def mount_unit(where: str) -> str:
    """Return systemd's name of what is mounted on a directory: systemd-escape(1)."""
    return f"{where.strip('/').replace('/', '-')}.mount"


def watch_unit(where: str) -> str:
    """Return the unit that mounts a volume again when its client has died."""
    return mount_unit(where).replace(".mount", "-watch.service")


def mount(volume: Volume, where: str, servers: Sequence[str]) -> list[Resource]:
    """Say how a machine mounts a volume: from the first of the servers that answers."""
    unit = template(
        f"{UNITS}/{mount_unit(where)}",
        source=f"{UNITS}/volume.mount",
        servers=servers,
        volume=volume.name,
        where=where,
    )
    program = template("/usr/local/lib/crm-deployer/watch-mount", mode=0o755)
    watch = template(
        f"{UNITS}/{watch_unit(where)}",
        source=f"{UNITS}/volume-watch.service",
        mount_unit=mount_unit(where),
        program=program.path,
        volume=volume.name,
        where=where,
    )
    return [
        unit,
        program,
        watch,
        mounted(where, unit.key),
        Service(watch_unit(where), restart=(program.key, watch.key)),
    ]


def mounted(where: str, *restart: str) -> Service:
    """Return the mount of a volume, started again when something of `restart` has changed."""
    # Without its process the mount point stays, and every access to it fails or hangs. So it does
    # with it as long as most storage servers are away: to mount again is no cure then.
    client = works(f"$(pgrep -n -f '^/usr/sbin/glusterfs .* {where}$')")
    alive = f"timeout 5 stat {where}/ >/dev/null || {client}"
    return Service(mount_unit(where), restart, ready=f"mountpoint -q {where}", alive=alive)


def whole(where: str) -> str:
    """Return a condition of the shell: what is mounted here reaches every brick of its volume.

    Without one, empty bricks in the place of lost ones may show an empty volume, and what is made
    there takes the place of what was there.
    """
    bricks = f"{where}/.meta/graphs/active/*-client-*/private"
    return f"cat {bricks} >/dev/null && ! grep -L 'connected = 1' {bricks} | grep -q ."
