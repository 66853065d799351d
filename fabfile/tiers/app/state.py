"""The app tier: the application's releases, its mounted volume and its service."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from fabfile.engine.change import Resource
from fabfile.engine.remote import MachineError
from fabfile.engine.resources import (
    Directory,
    Link,
    Packages,
    Port,
    Run,
    Service,
    Unpacked,
    User,
)
from fabfile.scenario import Machine, Scenario
from fabfile.scenario.variables import filled
from fabfile.tiers.app import health, release, units
from fabfile.tiers.app.volume import HEALTH_UNIT, MOUNT, MOUNT_UNIT, WATCH_UNIT
from fabfile.tiers.database import pooler
from fabfile.tiers.neighbours import neighbours
from fabfile.tiers.storage.mounting import mounted
from fabfile.tiers.templates import template
from fabfile.tiers.tier import View

HEALTHY_SECONDS = 30
# Who builds releases, with what its tools keep for the next time.
BUILD_HOME = "/var/cache/crm-build"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
# Shell that says what a release was built with.
RUNTIMES = Path(__file__).with_name("runtimes.sh").read_text()
# How many releases a server keeps, the one that serves included.
RELEASES = 5


def home(scenario: Scenario) -> str:
    """Return the directory of the application: its releases, and `current`."""
    return release.home(scenario.application.name)


def desired(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what an app server needs before it has anything to do with the other tiers."""
    name = scenario.application.name
    journal = template("/etc/systemd/journald.conf.d/crm.conf")
    shared = bool(scenario.tier("storage"))
    client = ("glusterfs-client",) if shared else ()
    return [
        neighbours(scenario, machine),
        _port(scenario),
        Port(scenario.ports["volume"], (HEALTH_UNIT,), remedy=_elsewhere(scenario)),
        Packages(*client, "postgresql-client", "python3", *scenario.application.packages),
        journal,
        Service("systemd-journald.service", restart=(journal.key,)),
        User(
            name,
            scenario.application.uid,
            home(scenario),
            remedy=f"; give {name} another 'uid' in {scenario.source.name}, on all its servers",
        ),
        Directory(home(scenario)),
        Directory(f"{home(scenario)}/releases"),
        # As the mount point of the uploads it is root's: nothing lands on the local disk.
        Directory(f"{home(scenario)}/uploads", mode=0o555)
        if shared
        else Directory(f"{home(scenario)}/uploads", mode=0o750, owner=name, group=name),
    ]


def _port(scenario: Scenario) -> Port:
    units = tuple(f"{each.name}.service" for each in scenario.applications)
    return Port(
        scenario.ports["app"],
        units,
        remedy=_elsewhere(scenario),
        # One that ran before, and that the scenario no longer knows, is stopped by deploy.
        known='[ -e "/etc/crm-deployer/${unit%.service}.env" ]',
    )


def _elsewhere(scenario: Scenario) -> str:
    return f" or choose another port: PORTS in {scenario.source.name}"


def built(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what the app server that builds the release holds: the first, as good as any."""
    application = scenario.application
    # Not the application's own user, who may read what the running one keeps in its memory.
    builder = User("crm-build", None, BUILD_HOME)
    variables = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": BUILD_HOME,
        # Node has a list of its own; Debian's has the authorities that this machine trusts, too.
        "NODE_EXTRA_CA_CERTS": AUTHORITIES,
        "SSL_CERT_FILE": AUTHORITIES,
    }
    return [
        *([Packages(*application.build_packages)] if application.build_packages else []),
        builder,
        Directory(BUILD_HOME, mode=0o700, owner=builder.name, group=builder.name),
        Unpacked(
            directory(scenario),
            lambda: release.archive(scenario),
            application.build,
            builder.name,
            variables,
            RUNTIMES,
        ),
    ]


def shipped(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what the other app servers hold: what the first has built, or another has already."""
    builder = scenario.builder
    if scenario.pinned:
        builder = scenario.machine(scenario.pinned.holder)
    return [Unpacked(directory(scenario), lambda: _for(scenario, machine, builder))]


def _for(scenario: Scenario, machine: Machine, builder: Machine) -> bytes:
    """Return what was built, for another machine. Raises MachineError if it would not run there."""
    archive = release.fetch(builder, directory(scenario))
    own, other = scenario.debian(machine), scenario.debian(builder)
    if own != other and (native := release.native(archive)):
        raise MachineError(
            machine.name,
            f"it runs {own.title}, and the release was built on {builder.name} for {other.title} "
            f"only ({native}): give all app servers one system",
        )
    return archive


def serving(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what an app server looks like when it answers."""
    name = scenario.application.name
    variables = template(
        environment_file(name),
        source="/etc/crm-deployer/application.env",
        mode=0o600,
        secret=True,
        variables=environment(scenario),
    )
    volume = (MOUNT, MOUNT_UNIT) if scenario.tier("storage") else ("", "")
    files = units.files(scenario, machine, *volume)
    current = Link(f"{home(scenario)}/current", f"releases/{release.identifier(scenario)}")
    # The mount, too: a process holds on to the one that was there when it started.
    changed = (current.key, variables.key, mounted(MOUNT).key)
    web, *others = services(scenario, changed)
    return [
        variables,
        *files,
        *units.program(scenario),
        current,
        _alone(scenario),
        units.stopped(scenario),
        web,
        *others,
    ]


def _alone(scenario: Scenario) -> Run:
    """Return what stops the other applications here: they share the port. Their data stays."""
    mine = environment_file(scenario.application.name)
    each = "for file in /etc/crm-deployer/*.env; do unit=$(basename $file .env).service"
    # Without any, the pattern stands for itself, and systemctl would take it for all services.
    others = f"{each}\n[ $file = {mine} ] || [ ! -e $file ]"
    runs = "{ systemctl -q is-active $unit || systemctl -q is-enabled $unit; }"
    return Run(
        "stop the other applications",
        f"{others} || systemctl -q disable --now $unit\ndone",
        unless=f"( {others} || ! {runs} || exit 1\ndone )",
    )


def services(scenario: Scenario, changed: tuple[str, ...] = ()) -> list[Service]:
    """Return the services of the application, which restart when something of `changed` has.

    The web process comes first.
    """
    return [_web(scenario, changed), *units.services(scenario, changed, _same_files(scenario))]


def _same_files(scenario: Scenario) -> str:
    if not scenario.tier("storage"):
        return ":"
    return health.same_files(MOUNT, f"{home(scenario)}/uploads")


def _web(scenario: Scenario, changed: tuple[str, ...]) -> Service:
    """Return the service of the web process, which is ready when it is healthy."""
    unit, application = f"{scenario.application.name}.service", scenario.application
    port = scenario.ports["app"]
    # The first page alone tells whether it hangs: another may be slow for what no restart cures.
    answers = health.responsive(port, application.health[0], HEALTHY_SECONDS, scenario.entry)
    return Service(
        unit,
        restart=(unit_file(application.name), *changed),
        ready=health.healthy(unit, port, application.health, scenario.entry),
        alive=f"{_same_files(scenario)} && {answers}",
        limit=HEALTHY_SECONDS,
    )


def _healthy(scenario: Scenario) -> Run:
    """Return what says so when the application runs and is not healthy: no restart cures that."""
    unit = f"{scenario.application.name}.service"
    what = f"{unit} to be healthy"
    ready = health.answers_well(scenario.ports["app"], scenario.application.health, scenario.entry)
    return Run(
        f"wait for {what}",
        f"await {HEALTHY_SECONDS} {shlex.quote(what)} {shlex.quote(ready)}",
        unless=f"{ready} || ! systemctl -q is-active {unit}",
    )


def kept(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what an app server remembers: which releases served, and the last of them."""
    where, identifier = home(scenario), release.identifier(scenario)
    # The latest that served first, each once; of what never served, nothing is kept.
    last = f"tac history | awk '!seen[$2]++ {{ print $2 }}' | head -n {RELEASES}"
    return [
        _healthy(scenario),
        Run(
            f"note that release {identifier} serves",
            f'cd {where}\necho "$(date -u +%FT%TZ) {identifier}" >>history\n'
            f'ls releases | grep -vxF -e "$({last})" | sed "s,^,releases/," | xargs -r rm -rf --',
            unless=f"tail -n 1 {where}/history | grep -q ' {identifier}$'",
        ),
    ]


def view(scenario: Scenario, machine: Machine) -> View:
    """Return what `status` shows of an app server: the release that it serves."""
    mount = (MOUNT_UNIT, WATCH_UNIT) if scenario.tier("storage") else ()
    shown = (*units.names(scenario.application), *mount, HEALTH_UNIT)
    release = f'echo "release: $(basename "$(readlink {home(scenario)}/current)")"'
    return View(shown, "\n".join([release, *units.places(scenario.application)]))


def directory(scenario: Scenario) -> str:
    """Return the directory of the release that shall run."""
    return f"{home(scenario)}/releases/{release.identifier(scenario)}"


def environment_file(name: str) -> str:
    """Return the path of an application's variables, which hold its passwords."""
    return f"/etc/crm-deployer/{name}.env"


def unit_file(name: str) -> str:
    """Return the path of an application's systemd unit."""
    return f"{units.UNITS}/{name}.service"


def environment(scenario: Scenario, past_pooler: bool = False) -> dict[str, str]:
    """Return the variables that the application gets, passwords included."""
    given = {
        **pooler.variables(scenario, past_pooler),
        "SECRET_KEY": scenario.secret("application_key"),
        "UPLOADS": f"{home(scenario)}/uploads",
        "PORT": str(scenario.ports["app"]),
    }
    own = scenario.application.environment
    return {**{name: filled(value, given) for name, value in own.items()}, **given}


def exported(scenario: Scenario, more: Mapping[str, str]) -> str:
    """Return shell that has these variables, and more, in its environment, to run a command once.

    Such a one may need a session of PostgreSQL's own: a migration takes a lock. An export is the
    shell's own, so no password is in a process list.
    """
    variables = {**environment(scenario, past_pooler=True), **more}
    return "".join(f"export {key}={shlex.quote(text)}\n" for key, text in variables.items())
