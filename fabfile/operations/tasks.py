"""The tasks that concern the scenario as a whole; each tier has its own beside them."""

from __future__ import annotations

from collections.abc import Callable

from invoke import Collection, Context, Task, task
from invoke.exceptions import Exit

from fabfile.operations import deployment, membership, reach, retiring, scaling
from fabfile.operations import status as status_report
from fabfile.operations.asking import asking
from fabfile.tiers.balancer.haproxy import DRAIN_SECONDS
from fabfile.tiers.tier import Tier

BATCH = "app servers that change at once: a number or a percentage of them"
NEW_DATABASE = "make an empty database in place of one that is gone"
REF = "a commit, tag or branch of the application, for this time"
OVERWRITE = "replace the file if it is there and says something else"
WAIT = "wait while another operation is in progress"

# Imports inside tasks are of what few tasks need: every command waits for those up here.


@task(help={"batch": BATCH, "wait": WAIT, "ref": REF, "new-database": NEW_DATABASE})
def deploy(
    context: Context,
    batch: str = "1",
    wait: bool = False,
    ref: str = "",
    new_database: bool = False,
) -> None:
    """Bring all machines to the state that config.py describes."""
    deployment.deploy(batch=batch, wait=wait, ref=ref, new_database=new_database)


@task(help={"ref": REF})
def plan(context: Context, ref: str = "") -> None:
    """Show what deploy would change, and change nothing (exit code 2 if there is something)."""
    deployment.show_plan(ref=ref)


@task(help={"json": "print it as JSON"})
def status(context: Context, json: bool = False) -> None:
    """Show every machine: up since when, its services, and what it sees of the others."""
    status_report.report(json)


@task(help={"json": "print the checks as JSON"})
def verify(context: Context, json: bool = False) -> None:
    """Check from outside that everything works (exit code 1 if something does not)."""
    # Here, because it needs `requests`, whose import takes as long as all of ours together.
    from fabfile.operations import verification

    verification.show(json)


@task(
    help={
        "name": "its name, as s4",
        "host": "user@address of a machine; without it, one is made in the lab",
        "address": "NETWORK=ADDRESS, for each network that it shall not get the next free one of",
        "wait": WAIT,
    },
    iterable=["address"],
)
def add_server(
    context: Context, name: str, address: list[str], host: str = "", wait: bool = False
) -> None:
    """Add an app server while the others serve: add-server --name s4."""
    scaling.add([name], host, membership.addresses(address), wait)


@task(
    help={
        "name": "its name",
        "limit": "seconds that its requests, such as slow uploads, have to end",
        "force": "even if no other one is healthy",
        "wait": WAIT,
    }
)
def remove_server(
    context: Context,
    name: str,
    limit: str = str(DRAIN_SECONDS),
    force: bool = False,
    wait: bool = False,
) -> None:
    """Remove an app server, also a dead or half-added one: remove-server --name s4."""
    scaling.remove([name], scaling.number("--limit", limit), force, wait)


@task(
    help={
        "name": "of a machine that is no longer in the scenario",
        "all": "all machines of the scenario, and those that were in it",
        "yes": "do not ask",
    }
)
def retire(context: Context, name: str = "", all: bool = False, yes: bool = False) -> None:
    """Take off one machine, or all, what deploy has put there: retire --name s9."""
    if bool(name) == all:
        raise Exit("Say which machine, retire --name s9, or all of the scenario, retire --all.", 1)
    if all:
        retiring.retire_all(yes)
    else:
        retiring.retire(name, yes)


@task(help={"servers": "how many there shall be", "wait": WAIT})
def scale(context: Context, servers: str, wait: bool = False) -> None:
    """Add or remove app servers of the lab until so many run: scale --servers 6."""
    scaling.scale(scaling.number("--servers", servers, least=1), wait)


@task(
    positional=["state"],
    help={
        "state": "on or off",
        "server": "its name",
        "force": "even if no other one is healthy",
        "wait": WAIT,
    },
)
def maintenance(
    context: Context, state: str, server: str, force: bool = False, wait: bool = False
) -> None:
    """Set an app server aside, or take it back: maintenance --server s2 on."""
    scaling.maintenance(server, state, force, wait)


@task(name="address")
def show_address(context: Context) -> None:
    """Say where the users find the application, and who can log in at first."""
    deployment.show_address()


@task(help={"to": "the file to write; default: docs/scenario.svg"})
def picture(context: Context, to: str = "") -> None:
    """Draw the scenario of config.py: its machines, networks and who asks whom."""
    from fabfile.operations.picture import draw

    draw(to)


@task()
def flows(context: Context) -> None:
    """Show who may reach whom: what the tiers listen on, and use of each other."""
    reach.show()


@task(
    help={
        "from-scratch": "measure lab.up and first deploys, too: removes the lab's machines",
        "images": "with --from-scratch: measure the images, too; removes those of the lab",
        "json": "print it as JSON",
    }
)
def benchmark(
    context: Context, from_scratch: bool = False, images: bool = False, json: bool = False
) -> None:
    """Measure how long deploy, verify and the rest take, beside what they may take."""
    # Rarely wanted: not read at each start.
    from fabfile.operations.benchmark import report

    report(from_scratch, images, json)


@task(
    name="import",
    positional=["files"],
    help={
        "files": "files of VNX, separated by commas; a later one adds machines or replaces them",
        "to": "the file to write; default: beside the first one, with .py",
        "overwrite": OVERWRITE,
    },
)
def import_scenario(context: Context, files: str, to: str = "", overwrite: bool = False) -> None:
    """Make a config file of a scenario of VNX: scenario.import pfinal.xml,s4.xml."""
    from fabfile.operations import exchange

    exchange.import_vnx(files, to, overwrite)


@task(
    name="export",
    help={
        "vnx": "as a file of VNX, the only kind there is",
        "to": "the file to write; default: NAME.xml in this directory",
        "overwrite": OVERWRITE,
    },
)
def export_scenario(
    context: Context, vnx: bool = False, to: str = "", overwrite: bool = False
) -> None:
    """Write the scenario for another tool: scenario.export --vnx."""
    if not vnx:
        raise Exit("Say for which tool: scenario.export --vnx.", 1)
    from fabfile.operations import exchange

    exchange.export_vnx(to, overwrite)


@task(
    name="cloud-init",
    help={"machine": "its name; needed only where not all have the same user and key"},
)
def cloud_init_data(context: Context, machine: str = "") -> None:
    """Print user-data for cloud-init: it makes a rented machine let us in, with sudo."""
    from fabfile.operations import cloud_init

    cloud_init.show(machine)


SCENARIO = Collection("scenario", import_scenario, export_scenario, cloud_init_data)
ALL: tuple[Task[Callable[..., None]], ...] = (
    *map(asking, (deploy, plan, status, verify, benchmark)),
    *map(asking, (add_server, remove_server, scale, maintenance, retire)),
    *(show_address, picture, flows),
)


def of_tier(tier: Tier) -> Collection:
    """Return the tasks of a tier: those that all have, and those of its room `tasks`."""

    def deploy_tier(context: Context, batch: str = "1", wait: bool = False) -> None:
        deployment.deploy(tier.name, batch, wait)

    def plan_tier(context: Context) -> None:
        deployment.show_plan(tier.name)

    deploy_tier.__doc__ = f"Bring {tier.members} to the state that config.py describes."
    plan_tier.__doc__ = f"Show what deploying {tier.members} would change."
    of_all: list[Task[Callable[..., None]]] = [
        Task(deploy_tier, name="deploy", help={"batch": BATCH, "wait": WAIT}),
        Task(plan_tier, name="plan"),
    ]
    room = tier.room("tasks")
    # A tier may have more to say of its own deploy.
    tasks = {each.name: each for each in (*of_all, *(room.ALL if room else ()))}
    return Collection(tier.name, *map(asking, tasks.values()))
