"""The lab as the person sees it: each function does one `lab.*` task, from a task or from a test.

Only containers, networks and images need root. A person who is not root is told so in a line, and
that part runs through sudo; keys, known_hosts and passwords are read and written as the person.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from fabfile.lab import access
from fabfile.lab.actions import perform, say
from fabfile.lab.host import LabError
from fabfile.lab.machines import host_keys
from fabfile.lab.planning import Request, lab_machines
from fabfile.scenario import ROOT, Scenario
from fabfile.tiers.database import notes

# What apt and the image builder may need to reach the outside.
PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
WHY = {
    "up": "make containers, their networks and images",
    "down": "remove containers and their networks",
    "remove": "remove containers",
    "stop": "stop containers",
    "start": "start containers",
    "status": "ask for the state of the containers",
}


def up(
    scenario: Scenario,
    machines: Iterable[str] = (),
    bare: bool | None = None,
    images_from: Path | None = None,
    rough: bool = False,
) -> None:
    """Bring machines up, all unless named, and pin their host keys.

    `bare` True starts them from plain Debian, False from an image with their tier's packages, None
    keeps each as it was made (new ones are prepared). `rough` ones are bare, with all the harmless
    oddities that people's machines have. A machine that was made otherwise than asked
    or described in config.py is made again. `images_from` is another lab's image directory to take
    finished images from. Raises LabError.
    """
    before = host_keys(scenario.lab).items()
    request = _starting(scenario, "up", machines, bare, str(images_from or ""))
    try:
        _ask(scenario, replace(request, rough=rough))
    finally:
        # Where a machine does not come up, the person looks into it, and into the others.
        access.pin_host_keys(scenario)
    if not before & host_keys(scenario.lab).items():
        # None is the machine that it was: the databases are gone on purpose, with all the rest.
        notes.forget(scenario.state)


def down(scenario: Scenario, images: bool = False) -> None:
    """Remove all machines, networks and rules of the lab, and the images if asked."""
    _ask(scenario, Request("down", images=images))
    notes.forget(scenario.state)


def remove(scenario: Scenario, names: Iterable[str]) -> None:
    """Remove machines that the scenario has no more, and what the others know of them.

    What is not there is not an error. Raises LabError for a machine that the scenario has.
    """
    names = tuple(names)
    _ask(scenario, replace(_starting(scenario, "remove", ()), machines=names))
    access.forget_host_keys(scenario)


def stop(scenario: Scenario, machines: Iterable[str], kill: bool = False) -> None:
    """Shut machines down; with `kill` at once, as a power cut does."""
    _ask(scenario, Request("stop", _known(scenario, machines), kill=kill))


def start(scenario: Scenario, machines: Iterable[str]) -> None:
    """Start stopped machines and wait until they answer SSH."""
    _ask(scenario, _starting(scenario, "start", machines))


def status(scenario: Scenario) -> list[dict[str, str]]:
    """Return machine, tier, address, state, image and SSH of each machine."""
    return _ask(scenario, Request("status"), answer=True)


def ssh(scenario: Scenario, name: str, command: str = "") -> int:
    """Log in on a machine as Fabric does, or run one command there; answer the exit code."""
    (name,) = _known(scenario, [name])
    return subprocess.call([*ssh_command(scenario, name), *([command] if command else [])])


def ssh_command(scenario: Scenario, name: str) -> list[str]:
    """Return the command line that logs in on a machine as Fabric does."""
    login = scenario.machine(name).ssh
    argv = ["ssh", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes"]
    argv += ["-o", "ConnectTimeout=10"]
    argv += ["-i", str(login.key)] if login.key else []
    argv += ["-o", f"UserKnownHostsFile={login.known_hosts}"] if login.known_hosts else []
    argv += ["-p", str(login.port)] if login.port else []
    argv += ["-l", login.user] if login.user else []
    return [*argv, login.host]


def _starting(
    scenario: Scenario,
    action: str,
    machines: Iterable[str],
    bare: bool | None = None,
    images_from: str = "",
) -> Request:
    from fabfile.operations.access import NoAccess, furnish
    from fabfile.pipeline import packages

    # Which packages a machine needs follows from all that it must have, passwords included.
    try:
        furnish(scenario)
    except NoAccess as error:
        raise LabError(f"{error}.") from None
    everyone = lab_machines(scenario)
    request = Request(
        action,
        _known(scenario, machines),
        bare,
        images_from=images_from,
        packages={machine.name: list(packages(scenario, machine)) for machine in everyone},
        public_keys=access.public_keys(scenario),
    )
    access.give_to_person(scenario.state)
    return request


def _known(scenario: Scenario, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names, or raise LabError if the lab has no machine of such a name."""
    known = [machine.name for machine in lab_machines(scenario)]
    names = tuple(names)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise LabError(f"There is no machine {', '.join(unknown)}; there are {', '.join(known)}.")
    return names


def _ask(scenario: Scenario, request: Request, answer: bool = False) -> list[dict[str, str]]:
    if os.geteuid() == 0:
        return perform(scenario, request) or []
    say(f"sudo    is needed to {WHY[request.action]}")
    kept = [name for name in PASSED_ON if name in os.environ]
    keep = [f"--preserve-env={','.join(kept)}"] if kept else []
    # -B: root leaves no compiled files in the person's directory.
    command = ["sudo", *keep, "--", sys.executable, "-B", "-m", "fabfile.lab.root"]
    # Root must not read the person's files: a server that is being added is in none of them yet.
    files = {"config": str(scenario.source), "inventory": asdict(scenario.inventory)}
    question = json.dumps({**files, **asdict(request)})
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            input=question,
            text=True,
            stdout=subprocess.PIPE if answer else None,
        )
    except FileNotFoundError:
        raise LabError("The program sudo is missing: run this as root, or install it.") from None
    if done.returncode:
        raise SystemExit(done.returncode)  # it has said why
    rows: list[dict[str, str]] = json.loads(done.stdout) if answer else []
    return rows
