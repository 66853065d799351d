"""The storage tier: GlusterFS volumes that keep uploads, and backups, on several servers.

The first storage server stands for all where a volume as a whole is concerned. What is so is
read from glusterd's own files: its command takes a third of a second for each question.
"""

from __future__ import annotations

import shlex

from fabfile.engine.change import Resource
from fabfile.engine.resources import Packages, Port, Run, Service, Unique
from fabfile.engine.survey import Survey
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.app.health import works
from fabfile.tiers.neighbours import neighbours
from fabfile.tiers.storage import agreement, backup, repository
from fabfile.tiers.storage.beforehand import Prospects, unmarked
from fabfile.tiers.storage.identity import Common, Identity, taken
from fabfile.tiers.storage.volumes import Volume, library, name_of, uploads, volumes
from fabfile.tiers.templates import template
from fabfile.tiers.tier import View

GLUSTERD, PORT = "glusterd.service", 24007
UNITS = "/etc/systemd/system"
# The process numbers of what heals.
HEALERS = "/run/gluster/shd/*/*-shd.pid"
# How `status` tells of bricks that are up, of how many, what is to heal and what is torn.
IN_LINES = r"bricks: %d of %d up\nto heal: %d\nsplit-brain: %d"
IN_ONE = "%d of %d bricks up, %d to heal, %d in split-brain"


def desired(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what each storage server looks like."""
    restarts = template("/etc/systemd/system/glusterd.service.d/crm.conf")
    program = template("/usr/local/lib/crm-deployer/watch-brick", mode=0o755)
    found = volumes(scenario)
    watches = [
        template(
            f"{UNITS}/{watch_unit(scenario, each)}",
            source=f"{UNITS}/glusterd-watch.service",
            program=program.path,
            volume=each.name,
            pid_file=each.brick_process(name_of(scenario, machine)),
        )
        for each in found
    ]
    return [
        neighbours(scenario, machine),
        *(Prospects(scenario, machine, each) for each in found),
        Port(PORT, (GLUSTERD,)),
        # Two of one number are one to GlusterFS.
        Unique(
            "the UUID of GlusterFS",
            'read -r line </var/lib/glusterd/glusterd.info && echo "${line#UUID=}"',
            "it is a copy of that machine: there, 'systemctl stop glusterd' and remove "
            "/var/lib/glusterd/glusterd.info and /var/lib/glusterd/peers",
        ),
        Packages("glusterfs-server"),
        Run(
            "have the name localhost resolve",
            # What heals the volume asks for it, and ends without an answer.
            "echo '127.0.0.1 localhost' >>/etc/hosts",
            unless="getent hosts localhost >/dev/null",
        ),
        Identity(scenario),
        *(unmarked(scenario, each) for each in found),
        restarts,
        program,
        *watches,
        Service(GLUSTERD, alive=works("$main_pid")),
        # To start it again has systemd read all units again, that of glusterd, too.
        *(
            Service(watch_unit(scenario, each), restart=(program.key, watch.key, restarts.key))
            for each, watch in zip(found, watches, strict=True)
        ),
    ]


def watch_unit(scenario: Scenario, volume: Volume) -> str:
    """Return the unit that has glusterd start a volume's brick again when it has died."""
    more = "" if volume == uploads(scenario) else f"-{volume.name}"
    return f"glusterd-watch{more}.service"


def volume(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what the storage servers have together; done on the first of them."""
    others = [name_of(scenario, server) for server in scenario.tier("storage")][1:]
    joined = Common(
        "join the storage servers",
        "\n".join(_gluster(f"peer probe {other}") for other in others)
        + "\n"
        + "await 60 'the storage servers to know each other' "
        + shlex.quote(_peers(others)),
        unless=_peers(others),
    )
    return [joined, *(step for each in volumes(scenario) for step in _made(scenario, each))]


def _made(scenario: Scenario, volume: Volume) -> list[Resource]:
    """Return what makes a volume, with its options, and starts it."""
    servers = [name_of(scenario, server) for server in scenario.tier("storage")]
    name = volume.name
    told = Survey(f"options_of_{name}", f"cat {volume.info}")
    allowed = {
        address
        for tier in volume.clients
        for address in scenario.addresses(tier, seen_by="storage")
    }
    options = {
        # The default freezes all access for 42 s when a server dies.
        "network.ping-timeout": "5",
        # The default leaves what was written while a server was dying on two of them for 600 s.
        "cluster.heal-timeout": "30",
        # GlusterFS: half of the replicas and more must be there to write.
        "cluster.quorum-type": "auto",
        "auth.allow": ",".join(sorted(allowed)),
    }
    create = _gluster(
        f"volume create {name} replica {scenario.replicas} "
        + " ".join(f"{server}:{volume.brick}" for server in servers)
    )
    return [
        Common(
            making(volume),
            f"{library(scenario, volume)}patiently {create}",
            unless=f"[ -f {volume.info} ]",
        ),
        *(
            Common(
                f"set {key} of the volume {name}",
                _gluster(f"volume set {name} {key} {value}"),
                unless=f"grep -qxF {key}={value} {volume.info}",
                told=(told, f"{key}={value}"),
            )
            for key, value in options.items()
        ),
        Common(
            f"start the volume {name}",
            _gluster(f"volume start {name}"),
            unless=f"grep -qx status=1 {volume.info}",
            told=(told, "status=1"),
        ),
    ]


def making(volume: Volume) -> str:
    """Return the key of the change that makes a volume, an empty one."""
    return f"create the volume {volume.name}"


def serving(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what runs on each storage server for the volumes: their bricks, and what heals them."""
    return [step for each in volumes(scenario) for step in _served(scenario, machine, each)]


def _served(scenario: Scenario, machine: Machine, volume: Volume) -> list[Resource]:
    name = volume.name
    functions = library(scenario, volume)
    brick = f"$(cat {volume.brick_process(name_of(scenario, machine))})"
    running = f"{works(brick)} && heals"
    # By force: glusterd starts what is missing of a volume that is started already, on all servers.
    # Several of them cannot do so at the same time, and need not: the first does it for all.
    start = (
        f"{functions}{{ {running}; }} || {{ kill -CONT {brick} $(cat {HEALERS}); "
        f"{_gluster(f'volume start {name} force')}; {running}; }}"
    )
    wait = f"'the brick of the volume {name} to run' {shlex.quote(start)}"
    return [
        taken(scenario, machine, volume),
        Run(
            f"run the brick of the volume {name}",
            # It may have lost the process that heals, and then never finds it again.
            f"await 20 {wait} || {{ systemctl restart glusterd.service; await 60 {wait}; }}",
            unless=f"{functions}{running}",
        ),
    ]


def view(scenario: Scenario, machine: Machine) -> View:
    """Return what `status` shows of a storage server: the first that is up tells of the volume."""
    servers = scenario.tier("storage")
    before = servers[: servers.index(machine)]
    # By a connection, as glusterd notices the death of another one late.
    another = " || ".join(
        f"timeout 1 bash -c 'exec 3<>/dev/tcp/{name_of(scenario, each)}/{PORT}' 2>/dev/null"
        for each in before
    )
    first, *others = volumes(scenario)
    told = [_told(first, "\\n", IN_LINES), *(_told(each, ", ", IN_ONE) for each in others)]
    if repository.keepers(scenario):
        told.append(backup.told(scenario))
    watches = (watch_unit(scenario, each) for each in volumes(scenario))
    agreed = (agreement.UNIT,) if machine in agreement.members(scenario) else ()
    units = (GLUSTERD, *watches, *agreed, *backup.units(scenario, machine))
    return View(units, f"if ! {{ {another or 'false'}; }}; then\n{_at_once(told)}fi")


def _at_once(told: list[str]) -> str:
    """Return shell that prints what several scripts do, in their order.

    Each of them may wait ten seconds for a server that has just died.
    """
    begun = "".join(f"{{\n{script}\n}} >$told/{n} &\n" for n, script in enumerate(told))
    return f"told=$(mktemp -d)\n{begun}wait\ncat $told/*\nrm -r $told\n"


def _told(volume: Volume, between: str, counts: str) -> str:
    """Return shell that prints what there is to see of a volume."""
    name = volume.name
    summary = rf"""awk '
/^Status: Connected/ {{ up++ }}
/^Status:/ {{ bricks++ }}
/^Total Number of entries/ {{ heal += $NF }}
/split-brain/ {{ torn += $NF }}
END {{ printf "{counts}\n", up, bricks, heal, torn }}'
"""
    return (
        f"state=$(gluster volume info {name} | sed -n 's/^Status: //p')\n"
        f"""printf 'volume {name}: %s{between}' "$state"\n"""
        f"gluster volume heal {name} info summary | {summary.strip()}"
    )


def _gluster(command: str) -> str:
    return f"gluster --mode=script {command}"


def _peers(others: list[str]) -> str:
    """Return a shell condition: each of the others is a member (state 3) of the pool."""
    # A file for each, named by its UUID; glusterd writes another one, and gives that its name. Who
    # was joined by a name has this address as one of several.
    program = f"""
FNR == 1 {{ members += named && joined; named = joined = 0 }}
$0 == "state=3" {{ joined = 1 }}
/^hostname[0-9]*=/ && index(" {" ".join(others)} ", " " $2 " ") {{ named = 1 }}
END {{ exit members + (named && joined) != {len(others)} }}"""
    return f"awk -F= {shlex.quote(program)} /var/lib/glusterd/peers/*-????????????"
