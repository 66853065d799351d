"""Processes of the application that are to run once: each on one server, and only there."""

from __future__ import annotations

from functools import partial

from fabfile.engine.waiting import wait_until
from fabfile.scenario import Machine
from fabfile.verify.check import Check, Site, judged, together

# As long as another server may take to take over.
SECONDS = 30


def checks(site: Site) -> list[Check]:
    """Check of each process that is to run once how many servers run it."""
    application = site.scenario.application
    return [
        judged(
            f"application: {process.name} runs on exactly one server",
            partial(_once, site, f"{application.name}@{process.name}.service"),
        )
        for process in application.processes
        if process.single
    ]


def _once(site: Site, unit: str) -> tuple[bool, str]:
    # What holds or awaits the lock has a child that is no psql only where the process runs.
    main = f"$(systemctl show -P MainPID {unit})"
    script = f"ps -o comm= --ppid {main} | grep -vx psql"
    found: list[str] = []

    def runs(app: Machine) -> bool:
        return bool(site.run(app.name, script).strip())

    def known(_left: float) -> bool:
        nonlocal found
        answers = together(site.scenario.present("app"), runs)
        found = [name for name, yes in answers.items() if yes]
        return bool(found)

    wait_until(known, SECONDS, 1)
    return len(found) == 1, f"runs on {', '.join(found) or f'none within {SECONDS} s'}"
