"""Whether the application keeps its data in SQLite, and not in PostgreSQL.

Its home is looked through whole, and what it has in its own /tmp. What lies in a release and cannot
be changed by the application is no data of its users: it came with the source. Of the uploads,
which may be many, names are read on the storage servers' own disks, and of the files whose name
says nothing those are opened that a database would be among: the latest changed, the largest, and
some by chance.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fabfile.scenario import Machine
from fabfile.verify.check import Site, together

if TYPE_CHECKING:
    from fabfile.tiers.database.programs.sqlite import Found, Given

PROGRAM = Path(__file__).parent / "programs/sqlite.py"
SECONDS = 5  # for the names on one machine; what is beyond has its turn another time
SAMPLE = 100


def none(site: Site) -> tuple[bool, str]:
    """Tell whether the application has no SQLite file that it writes, and none on the volume."""
    application, brick = site.scenario.application, site.scenario.brick
    home = f"/srv/{application.name}"
    machines = [*site.scenario.present("app"), *site.scenario.tier("storage")]

    def looked(machine: Machine) -> Found:
        serves = "app" in machine.tiers
        given: Given = {
            "whole": [home] if serves else [],
            "private": application.name if serves else "",
            "sampled": [] if serves else [brick],
            "sample": SAMPLE,
            "seconds": SECONDS,
        }
        found: Found = site.program(machine.name, PROGRAM, given, 3 * SECONDS)
        return found

    answers = together(machines, looked)
    paths = [f"{name}:{path}" for name, answer in answers.items() for path in answer["found"]]
    names = max(answer["names"] for answer in answers.values())
    elsewhere = f", none among {names} names in {brick}" if site.scenario.tier("storage") else ""
    seen = ", ".join(paths[:5]) or f"none in {home}{elsewhere}"
    came = sorted({path for answer in answers.values() for path in answer["came"]})
    seen += f"; came with the release, and cannot be changed: {', '.join(came[:5])}" if came else ""
    return not paths, seen
