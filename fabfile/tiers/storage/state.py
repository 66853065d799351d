"""The storage tier: a GlusterFS volume that keeps every uploaded file on several servers.

The first storage server stands for all where the volume as a whole is concerned. What is so is
read from glusterd's own files: its command takes a third of a second for each question.
"""

from __future__ import annotations

import shlex

from fabfile.engine.change import Resource
from fabfile.engine.resources import Packages, Port, Run, Service, Unique
from fabfile.engine.survey import Survey
from fabfile.scenario import Machine, Scenario
from fabfile.scenario.flows import sources
from fabfile.tiers.app.health import works
from fabfile.tiers.neighbours import neighbours
from fabfile.tiers.storage.beforehand import VOLUME, Prospects, library, name_of, unmarked
from fabfile.tiers.storage.identity import Common, Identity, taken
from fabfile.tiers.templates import template
from fabfile.tiers.tier import View

GLUSTERD, WATCH_UNIT = "glusterd.service", "glusterd-watch.service"
INFO = f"/var/lib/glusterd/vols/{VOLUME}/info"
OPTIONS = Survey("options", f"cat {INFO}")


def desired(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what each storage server looks like."""
    restarts = template("/etc/systemd/system/glusterd.service.d/crm.conf")
    program = template("/usr/local/lib/crm-deployer/watch-brick", mode=0o755)
    watch = template(
        f"/etc/systemd/system/{WATCH_UNIT}",
        program=program.path,
        volume=VOLUME,
        pid_file=f"/run/gluster/{_brick(scenario, machine)}",
    )
    return [
        neighbours(scenario, machine),
        Prospects(scenario, machine),
        Port(24007, (GLUSTERD,)),
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
        unmarked(scenario),
        restarts,
        program,
        watch,
        Service(GLUSTERD, alive=works("$main_pid")),
        # To start it again has systemd read all units again, that of glusterd, too.
        Service(WATCH_UNIT, restart=(program.key, watch.key, restarts.key)),
    ]


def _brick(scenario: Scenario, machine: Machine) -> str:
    """Return the file of the brick's process number, below /run/gluster."""
    brick = f"{name_of(scenario, machine)}{scenario.brick.replace('/', '-')}"
    return f"vols/{VOLUME}/{brick}.pid"


def volume(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what the storage servers have together; done on the first of them."""
    servers = [name_of(scenario, server) for server in scenario.tier("storage")]
    allowed = {
        address
        for tier in sources("storage", "bricks")
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
    others = servers[1:]
    create = _gluster(
        f"volume create {VOLUME} replica {scenario.replicas} "
        + " ".join(f"{server}:{scenario.brick}" for server in servers)
    )
    return [
        Common(
            "join the storage servers",
            "\n".join(_gluster(f"peer probe {other}") for other in others)
            + "\n"
            + "await 60 'the storage servers to know each other' "
            + shlex.quote(_peers(others)),
            unless=_peers(others),
        ),
        Common(
            f"create the volume {VOLUME}",
            f"{library(scenario)}patiently {create}",
            unless=f"[ -f {INFO} ]",
        ),
        *(
            Common(
                f"set {key} of the volume {VOLUME}",
                _gluster(f"volume set {VOLUME} {key} {value}"),
                unless=f"grep -qxF {key}={value} {INFO}",
                told=(OPTIONS, f"{key}={value}"),
            )
            for key, value in options.items()
        ),
        Common(
            f"start the volume {VOLUME}",
            _gluster(f"volume start {VOLUME}"),
            unless=f"grep -qx status=1 {INFO}",
            told=(OPTIONS, "status=1"),
        ),
    ]


def serving(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what runs on each storage server for the volume: its brick, and what heals it."""
    processes = (_brick(scenario, machine), f"shd/{VOLUME}/{VOLUME}-shd.pid")
    numbers = [f"$(cat /run/gluster/{file})" for file in processes]
    running = " && ".join(map(works, numbers))
    # By force: glusterd starts what is missing of a volume that is started already, on all servers.
    # Several of them cannot do so at the same time, and need not: the first does it for all.
    start = (
        f"{{ {running}; }} || {{ kill -CONT {' '.join(numbers)}; "
        f"{_gluster(f'volume start {VOLUME} force')}; {running}; }}"
    )
    return [
        taken(scenario, machine),
        Run(
            f"run the brick of the volume {VOLUME}",
            f"await 60 'the brick of the volume {VOLUME} to run' {shlex.quote(start)}",
            unless=running,
        ),
    ]


def view(scenario: Scenario, machine: Machine) -> View:
    """Return what `status` shows of a storage server: the first that is up tells of the volume."""
    servers = scenario.tier("storage")
    before = servers[: servers.index(machine)]
    # gluster(8): "Connected" or "Disconnected" of each server, which it calls by either.
    names = [name for each in before for name in (each.name, name_of(scenario, each))]
    up = " ".join(f"-e '[[:space:]]{name}[[:space:]]*Connected'" for name in names)
    another = f"gluster pool list | grep -q {up}" if before else "false"
    summary = r"""awk '
/^Status: Connected/ { up++ }
/^Status:/ { bricks++ }
/^Total Number of entries/ { heal += $NF }
/split-brain/ { torn += $NF }
END { printf "bricks: %d of %d up\nto heal: %d\nsplit-brain: %d\n", up, bricks, heal, torn }'
"""
    return View(
        (GLUSTERD, WATCH_UNIT),
        f"if ! {another}; then\n"
        f"gluster volume info {VOLUME} | sed -n 's/^Status: /volume {VOLUME}: /p'\n"
        f"gluster volume heal {VOLUME} info summary | {summary.strip()}\nfi",
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
