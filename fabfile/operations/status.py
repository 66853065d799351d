"""What `status` shows: each machine as it is now, and what the tiers see of each other."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime

from invoke.exceptions import Exit
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fabfile.engine.converge import DONE, FAILED, LOOK, everywhere
from fabfile.engine.remote import MachineError, Remote
from fabfile.operations import keys
from fabfile.operations.progress import Progress, console, interruptible
from fabfile.operations.session import connected, scenario
from fabfile.scenario import Machine, Scenario
from fabfile.scenario.debian import UnknownSystem
from fabfile.scenario.parts import MANAGEMENT
from fabfile.tiers import views_of

SECONDS = 20
# More than any line has.
PIPE_WIDTH = 1000
# Each prints a line "KIND TEXT"; with the tier's view, one round trip a machine.
COMMON = """
echo "boot $(systemctl show -P UserspaceTimestamp --timestamp=unix | tr -d @) $(date +%s)"
echo "system $(systemctl is-system-running)"
"""


@dataclass
class Status:
    """How a machine is now. `status --json` prints a list of these, in the order of config.py.

    `addresses` is by network, `services` unit -> state as systemctl says it, `sees` what the
    tier's own programs say, name -> text; on a machine of several tiers, the tier stands before
    the name, as "balancer s1". `maintenance` tells whether it is set aside. `up_since` (ISO 8601),
    `up_seconds` and `system` (of `systemctl is-system-running`) are null where `error` says why it
    could not be asked.
    """

    machine: str
    tier: str
    addresses: dict[str, str]
    up_since: str | None = None
    up_seconds: int | None = None
    system: str | None = None
    services: dict[str, str] = field(default_factory=dict)
    sees: dict[str, str] = field(default_factory=dict)
    maintenance: bool = False
    error: str | None = None


def report(as_json: bool) -> None:
    """Print the status of all machines; raises Exit with 1 when one could not be asked."""
    wanted = scenario()
    machines = [machine for machine in wanted.machines if machine.login]
    progress = Progress({machine.name: [LOOK] for machine in machines})

    def ask(remote: Remote) -> Status:
        progress.step(remote.name, LOOK, "ask")
        status = _status(wanted, remote)
        progress.step(remote.name, LOOK, FAILED if status.error else DONE)
        return status

    with (
        interruptible("Nothing was changed."),
        connected(wanted, [machine.name for machine in machines]) as remotes,
        nullcontext() if as_json else progress.looking(),
    ):
        found = everywhere(list(remotes.values()), ask)
    rows = [found[machine.name] for machine in machines]
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        _show(rows)
        if warning := keys.warning(wanted):
            console.print(warning, style="yellow", markup=False)
    # One in maintenance may well be away.
    aside = wanted.inventory.maintenance
    errors = [
        f"{row.machine}: {row.error}" for row in rows if row.error and row.machine not in aside
    ]
    if errors:
        raise Exit("" if as_json else "\n".join(errors), 1)


def _status(wanted: Scenario, remote: Remote) -> Status:
    machine = wanted.machine(remote.name)
    addresses = {name: str(address) for name, address in machine.addresses.items()}
    status = Status(machine.name, ", ".join(machine.tiers), addresses)
    status.maintenance = wanted.in_maintenance(machine)
    try:
        text = remote.run(_script(wanted, machine), seconds=SECONDS).text
    except MachineError as error:
        status.error = error.sentence
        return status
    except UnknownSystem as unknown:
        status.error = str(unknown)
        return status
    for line in text.splitlines():
        kind, _, value = line.partition(" ")
        if kind == "boot":
            boot, now = map(int, value.split())
            status.up_since = datetime.fromtimestamp(boot).astimezone().isoformat()
            status.up_seconds = now - boot
        elif kind == "system":
            status.system = value
        elif kind == "service":
            unit, _, status.services[unit] = value.partition(" ")
        elif kind == "sees" and ": " in value:
            name, _, status.sees[name] = value.partition(": ")
    return status


def _script(wanted: Scenario, machine: Machine) -> str:
    views = views_of(wanted, machine)
    units = [
        f"echo service {unit} $(systemctl is-active {unit})"
        for view in views
        for unit in view.units
    ]
    several = len(machine.tiers) > 1
    sees = [
        f"{{\n{view.shell or ':'}\n}} 2>&1 | "
        f"sed 's/^/sees {f'{view.tier} ' if several and view.tier else ''}/'"
        for view in views
    ]
    return "\n".join([COMMON, *units, *sees])


def _show(rows: list[Status]) -> None:
    """Print the table: as wide as the terminal, and in a pipe as wide as it is."""
    at = console if console.is_terminal else Console(width=PIPE_WIDTH, highlight=False)
    at.print(_table(rows, gap=1 if at.width < 100 else 3), soft_wrap=False)


def _table(rows: list[Status], gap: int) -> Table:
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold")
    for column in ("machine", "tier", "address", "up since", "services", "sees"):
        table.add_column(column)
    for row in rows:
        # Everybody has a management address; the others say where a machine stands.
        places = [text for name, text in row.addresses.items() if name != MANAGEMENT]
        table.add_row(
            row.machine,
            row.tier,
            "\n".join(places),
            Text("not reached", "bold red") if row.error else _since(row),
            Text("\n").join(_services(row)),
            Text("\n".join(f"{name}: {text}" for name, text in row.sees.items())),
        )
    return table


def _since(row: Status) -> str:
    """Return when a machine started, in the time of here: the day, too, if it was another."""
    if row.up_since is None:
        return "unknown"
    start = datetime.fromisoformat(row.up_since)
    today = start.date() == datetime.now().astimezone().date()
    seconds = row.up_seconds or 0
    count, unit = next(
        (seconds // size, unit)
        for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
        if seconds >= size or size == 1
    )
    return f"{start:%H:%M} ({count} {unit})" if today else f"{start:%d %b} ({count} {unit})"


def _services(row: Status) -> list[Text]:
    lines = [
        Text(_short(unit), "green") if state == "active" else Text(f"{_short(unit)} {state}", "red")
        for unit, state in row.services.items()
    ]
    if row.system not in (None, "running"):
        lines.append(Text(f"system {row.system}", "yellow"))
    if row.maintenance:
        lines.append(Text("in maintenance", "yellow"))
    return lines


def _short(unit: str) -> str:
    """Return a unit's name as people say it: postgresql of postgresql@15-main.service."""
    return re.sub(r"@\d.*", "", unit.removesuffix(".service"))
