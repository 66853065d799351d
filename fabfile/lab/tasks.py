"""The `lab.*` tasks: the whole scenario as containers on this computer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from invoke import Collection, Context, task
from invoke.exceptions import Exit

from fabfile.scenario import Scenario, ScenarioError, load


@contextmanager
def _scenario() -> Iterator[Scenario]:
    """Hand the scenario to a task; what fails as foreseen is a sentence, and exit code 1."""
    from fabfile.lab.host import LabError

    try:
        yield load()
    except (LabError, ScenarioError) as error:
        raise Exit(str(error), 1) from None


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


@task(
    help={
        "bare": "start from plain Debian, as rented machines come; makes prepared ones again",
        "rough": "bare, and with oddities: languages, shells, noise, others at work",
        "prepared": "start from images with each tier's packages; makes bare ones again",
        "machines": "only these, separated by commas",
    }
)
def up(
    c: Context, bare: bool = False, prepared: bool = False, rough: bool = False, machines: str = ""
) -> None:
    """Start the scenario's machines on this computer (needs sudo).

    Machines that run are left alone, stopped ones started, those whose entry in config.py has
    changed made again. New ones start from an image that holds their tier's packages.
    """
    from fabfile.lab import commands

    if bare + prepared + rough > 1:
        raise Exit("--bare, --prepared and --rough contradict each other; give one of them.", 1)
    with _scenario() as scenario:
        kind = True if bare or rough else False if prepared else None
        commands.up(scenario, _names(machines), kind, rough=rough)


@task(help={"images": "remove the images, too: the next lab.up builds them again"})
def down(c: Context, images: bool = False) -> None:
    """Remove the lab's machines with all they hold, its networks and rules (needs sudo)."""
    from fabfile.lab import commands

    with _scenario() as scenario:
        commands.down(scenario, images)


@task
def status(c: Context) -> None:
    """Show which machines of the lab run and answer (needs sudo)."""
    from fabfile.lab import commands

    with _scenario() as scenario:
        rows = commands.status(scenario)
    widths = {key: max(len(key), *(len(row[key]) for row in rows)) for key in rows[0]}
    for row in [{key: key for key in widths}, *rows]:
        print("  ".join(f"{row[key]:{width}}" for key, width in widths.items()).rstrip())


@task(
    positional=["machine"],
    help={"machine": "its name", "command": "what to run there; or give it after --"},
)
def ssh(c: Context, machine: str, command: str = "") -> None:
    """Log in on a machine of the lab, or run a command there: lab.ssh s1 -- uptime.

    Fabric keeps what follows `--` for itself: with `fab`, give --command "uptime".
    """
    from fabfile.lab import commands

    after = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    with _scenario() as scenario:
        code = commands.ssh(scenario, machine, command or " ".join(after))
    if code:
        raise Exit(code=code)


@task(
    positional=["machines"],
    help={"machines": "names, separated by commas", "kill": "at once, as a power cut does"},
)
def stop(c: Context, machines: str, kill: bool = False) -> None:
    """Shut machines of the lab down: lab.stop s1,s2 (needs sudo)."""
    from fabfile.lab import commands

    with _scenario() as scenario:
        commands.stop(scenario, _names(machines), kill)


@task(positional=["machines"], help={"machines": "names, separated by commas"})
def start(c: Context, machines: str) -> None:
    """Start stopped machines of the lab and wait until they answer (needs sudo)."""
    from fabfile.lab import commands

    with _scenario() as scenario:
        commands.start(scenario, _names(machines))


namespace = Collection("lab", up, down, status, ssh, stop, start)
