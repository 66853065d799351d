"""Shell for app servers, beyond their desired state: what runs there, going back, retiring."""

from __future__ import annotations

import shlex

from fabfile import app
from fabfile.engine.resources.pending import mark
from fabfile.engine.script import AWAIT, STATE
from fabfile.scenario import Scenario

# What a server ran before a change, until the next one.
PREVIOUS = f"{STATE}/previous"


def running_release(scenario: Scenario) -> str:
    """Answer shell that prints the release that `current` is."""
    return f"basename $(readlink {app.home(scenario)}/current)"


def holdings(scenario: Scenario) -> str:
    """Answer shell that prints the releases of a server: `current`, `keeps` and `served` lines."""
    return (
        f"cd {app.home(scenario)} || exit 0\n"
        'echo "current $(basename "$(readlink current)")"\n'
        "ls releases | sed '/\\.new$/d; s/^/keeps /'\n"
        "[ ! -e history ] || sed 's/^/served /' history"
    )


def journal(scenario: Scenario, lines: int, follow: bool) -> str:
    """Answer shell that prints the application's last lines, and goes on while input is open."""
    unit = f"{scenario.application.name}.service"
    read = f"journalctl -q --no-pager --no-hostname -o short-iso -n {lines} -u {unit}"
    return f"{read} -f & cat >/dev/null; kill $!" if follow else read


def keep_previous(scenario: Scenario) -> str:
    """Answer shell that prints the release that serves here, if one does, and keeps its files."""
    name = scenario.application.name
    return f"""
main=$(systemctl show -P MainPID {name}.service) && [ "$main" -gt 0 ] || exit 0
serves=$(readlink /proc/$main/cwd) || exit 0
umask 077
rm -rf {PREVIOUS} && mkdir -p {PREVIOUS} || exit 1
cp -a {app.unit_file(scenario)} {PREVIOUS}/unit
cp -a {app.environment_file(scenario)} {PREVIOUS}/env
basename "$serves"
"""


def put_back(scenario: Scenario, identifier: str) -> str:
    """Answer shell that runs a release as it ran when `keep_previous` was run, and awaits it."""
    unit = f"{scenario.application.name}.service"
    healthy = shlex.quote(app.healthy(scenario.ports["app"], scenario.application.health))
    return f"""{AWAIT}
set -e
cp -a {PREVIOUS}/unit {app.unit_file(scenario)}
cp -a {PREVIOUS}/env {app.environment_file(scenario)}
ln -sfn releases/{identifier} {app.home(scenario)}/current.new
mv -fT {app.home(scenario)}/current.new {app.home(scenario)}/current
rm -f {mark(f"restart {unit}")}
systemctl daemon-reload
systemctl reset-failed {unit} || :
systemctl restart {unit}
await {app.HEALTHY_SECONDS} 'the release {identifier} to be healthy' {healthy}
"""


def retired(scenario: Scenario) -> str:
    """Answer shell after which a server that was removed does nothing more for the application."""
    unit = f"{scenario.application.name}.service"
    return (
        f"systemctl disable --now {unit} {app.MOUNT_UNIT}\n"
        # Of all applications that ever ran here.
        f"rm -rf /etc/crm-deployer/*.env {PREVIOUS}"
    )
