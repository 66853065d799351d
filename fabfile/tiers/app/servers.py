"""Shell for app servers, beyond their desired state: what runs there, going back, retiring."""

from __future__ import annotations

import shlex

from fabfile.engine.resources.pending import mark
from fabfile.engine.script import AWAIT, STATE
from fabfile.scenario import Scenario
from fabfile.tiers.app import health
from fabfile.tiers.app import state as app

# What a server ran before a change, until the next one.
PREVIOUS = f"{STATE}/previous"


def running_release(scenario: Scenario) -> str:
    """Return shell that prints the release that `current` is."""
    unit = f"{scenario.application.name}.service"
    return f"systemctl -q is-active {unit} && basename $(readlink {app.home(scenario)}/current)"


def holdings(scenario: Scenario) -> str:
    """Return shell that prints the releases of a server: `current`, `keeps` and `served` lines."""
    return (
        f"cd {app.home(scenario)} || exit 0\n"
        'echo "current $(basename "$(readlink current)")"\n'
        "ls releases | sed '/\\.new$/d; s/^/keeps /'\n"
        "[ ! -e history ] || sed 's/^/served /' history"
    )


def journal(scenario: Scenario, lines: int, follow: bool) -> str:
    """Return shell that prints the application's last lines, and goes on while input is open."""
    unit = f"{scenario.application.name}.service"
    read = f"journalctl -q --no-pager --no-hostname -o short-iso -n {lines} -u {unit}"
    return f"{read} -f & cat >/dev/null; kill $!" if follow else read


def keep_previous(scenario: Scenario) -> str:
    """Return shell that prints application and release that serve here, and keeps their files."""
    return f"""
cd /etc/crm-deployer 2>/dev/null || exit 0
for file in {scenario.application.name}.env *.env; do
  name=${{file%.env}}
  main=$(systemctl show -P MainPID "$name.service") && [ "$main" -gt 0 ] || continue
  serves=$(readlink /proc/$main/cwd) || continue
  umask 077
  rm -rf {PREVIOUS} && mkdir -p {PREVIOUS} || exit 1
  cp -a "{app.UNITS}/$name.service" {PREVIOUS}/unit
  cp -a "$file" {PREVIOUS}/env
  echo "$name $(basename "$serves")"
  exit
done
"""


def put_back(scenario: Scenario, name: str, identifier: str) -> str:
    """Return shell that runs a release as it ran when `keep_previous` was run, and awaits it.

    `name` is its application, which need not be the one that failed.
    """
    wanted, unit, home = scenario.application.name, f"{name}.service", f"/srv/{name}"
    paths = [each.health for each in scenario.applications if each.name == name]
    ready = f"systemctl is-active {unit}"
    if paths:
        ready = health.healthy(unit, scenario.ports["app"], paths[0])
    switch = f"systemctl disable --now {wanted}.service\nsystemctl enable {unit}\n"
    return f"""{AWAIT}
set -e
cp -a {PREVIOUS}/unit {app.UNITS}/{unit}
cp -a {PREVIOUS}/env /etc/crm-deployer/{name}.env
ln -sfn releases/{identifier} {home}/current.new
mv -fT {home}/current.new {home}/current
rm -f {mark(f"restart {unit}")}
systemctl daemon-reload
{"" if name == wanted else switch}systemctl reset-failed {unit} || :
systemctl restart {unit}
await {app.HEALTHY_SECONDS} 'the release {identifier} to be healthy' {shlex.quote(ready)}
"""


def retired(scenario: Scenario) -> str:
    """Return shell after which a server that was removed does nothing more for the application."""
    unit = f"{scenario.application.name}.service"
    return (
        f"systemctl disable --now {unit} {app.WATCH_UNIT} {app.MOUNT_UNIT}\n"
        # Of all applications that ever ran here.
        f"rm -rf /etc/crm-deployer/*.env {PREVIOUS}"
    )
