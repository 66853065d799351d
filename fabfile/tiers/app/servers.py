"""Shell for app servers, beyond their desired state: what runs there, going back, retiring."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from fabfile.engine.resources import Link, Service
from fabfile.engine.resources.pending import mark
from fabfile.engine.waiting import AWAIT
from fabfile.scenario import Scenario
from fabfile.tiers.app import release, units, volume
from fabfile.tiers.app import state as app

LIBRARY = Path(__file__).with_suffix(".sh").read_text()


def running_release(scenario: Scenario) -> str:
    """Return shell that prints the release that `current` is."""
    unit = f"{scenario.application.name}.service"
    return f"systemctl -q is-active {unit} && basename $(readlink {app.home(scenario)}/current)"


def holdings(scenario: Scenario) -> str:
    """Return shell that prints the releases of a server: `current`, `keeps` and `served` lines."""
    return f"{LIBRARY}holdings {app.home(scenario)}"


def journal(scenario: Scenario, lines: int, follow: bool) -> str:
    """Return shell that prints the application's last lines, and goes on while input is open."""
    named = " ".join(f"-u {unit}" for unit in units.names(scenario.application))
    read = f"journalctl -q --no-pager --no-hostname -o short-iso -n {lines} {named}"
    return f"{read} -f & cat >/dev/null; kill $!" if follow else read


def missing(scenario: Scenario) -> str:
    """Return shell that prints the uploads that the application knows of and that are not there.

    It is asked on a server where it runs, since there it sees the volume.
    """
    application = scenario.application
    named = application.name
    as_user = f"exec runuser -u {named} -- sh -c {shlex.quote(application.missing)}"
    inside = shlex.quote(f"cd {app.home(scenario)}/current && {as_user}")
    return (
        f"main=$(systemctl show -P MainPID {named}.service)\n"
        f'[ "$main" -gt 0 ] || {{ echo "{named} does not run"; exit 1; }}\n'
        f"{app.exported(scenario, {})}errors=$(mktemp)\n"
        # Its warnings are no uploads.
        f'nsenter -m -t "$main" -- sh -c {inside} 2>"$errors" || code=$?\n'
        '[ ! "${code-}" ] || cat "$errors"\nrm -f "$errors"\nexit "${code:-0}"'
    )


def keep_previous(scenario: Scenario) -> str:
    """Return shell that prints application and release that serve here, and keeps their files."""
    return f"{LIBRARY}keep_previous {scenario.application.name}"


def put_back(scenario: Scenario, name: str, identifier: str) -> str:
    """Return shell that runs a release as it ran when `keep_previous` was run, and awaits it.

    `name` is its application, which need not be the one that failed.
    """
    current = Link(f"{release.home(name)}/current", f"releases/{identifier}").switching()
    restart = _service(scenario, name).restarting()
    return (
        f"{AWAIT}{LIBRARY}set -e\n"
        f"put_back {name} {scenario.application.name}\n"
        f"{current.script}\n"
        f"rm -f {mark(restart.marker)}\n"
        f"{restart.script}"
    )


def _service(scenario: Scenario, name: str) -> Service:
    """Return the web process of an application, which the scenario may not know any more.

    The others start with it.
    """
    for each in scenario.applications:
        if each.name == name:
            return app.services(replace(scenario, application=each))[0]
    return Service(f"{name}.service", limit=app.HEALTHY_SECONDS)


def stopped(scenario: Scenario) -> str:
    """Return shell after which no process of the application runs, until one is started."""
    return "systemctl stop " + " ".join(reversed(units.names(scenario.application)))


def retired(scenario: Scenario) -> str:
    """Return shell after which a server that was removed does nothing more for the application."""
    unit = f"{scenario.application.name}.service"
    return f"{LIBRARY}retire {unit} {volume.HEALTH_UNIT} {volume.WATCH_UNIT} {volume.MOUNT_UNIT}"
