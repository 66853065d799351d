"""Whether the application keeps its data in SQLite, and not in PostgreSQL.

Its release is looked through whole. Of the uploads, which may be many, names are read on the
storage servers' own disks, and of the files whose name says nothing those are opened that a
database would be among: the latest changed, the largest, and some by chance.
"""

from __future__ import annotations

import json

from fabfile.scenario import Machine
from fabfile.verify.check import Site, together

SECONDS = 5  # for the names on one machine; what is beyond has its turn another time

PROGRAM = """
import heapq, json, os, random, time

given = GIVEN
ENDINGS = (".sqlite", ".sqlite3", ".db", ".db3", "-wal", "-journal")
end = time.monotonic() + given["seconds"]

def files(top, skipped):
    waiting = [top]
    while waiting and time.monotonic() < end:
        # In no order: not always the same ones are left out when there are too many.
        directory = waiting.pop(random.randrange(len(waiting)))
        try:
            for entry in os.scandir(directory):
                if entry.path in skipped or entry.is_symlink():
                    continue
                if entry.is_dir():
                    waiting.append(entry.path)
                elif entry.is_file():
                    yield entry
        except OSError:
            continue

def is_database(path):
    try:
        with open(path, "rb") as file:
            return file.read(16) == b"SQLite format 3\\0"
    except OSError:
        return False

def of_interest(entries):
    stats, sample = [], []
    for number, entry in enumerate(entries):
        try:
            stat = entry.stat()
        except OSError:
            continue
        if entry.name.endswith(ENDINGS):
            yield entry.path
        stats.append((stat.st_mtime, stat.st_size, entry.path))
        if len(sample) < given["sample"]:
            sample.append(entry.path)
        elif random.randrange(number + 1) < given["sample"]:
            sample[random.randrange(given["sample"])] = entry.path
    counted.append(len(stats))
    yield from sample
    for column in (0, 1):
        for one in heapq.nlargest(given["sample"], stats, key=lambda each: each[column]):
            yield one[2]

counted, found = [], set()
for top in given["whole"]:
    skipped = {top + "/releases", top + "/uploads"}
    for directory in (top, os.path.realpath(top + "/current")):
        found.update(each.path for each in files(directory, skipped) if is_database(each.path))
for top in given["sampled"]:
    found.update(filter(is_database, set(of_interest(files(top, {top + "/.glusterfs"})))))
print(json.dumps({"found": sorted(found), "names": sum(counted)}))
"""


def none(site: Site) -> tuple[bool, str]:
    """Tell whether there is no SQLite file in the release that runs, and none on the volume."""
    home, brick = f"/srv/{site.scenario.application.name}", site.scenario.brick
    places = {"app": {"whole": [home], "sampled": []}, "storage": {"whole": [], "sampled": [brick]}}
    machines = [*site.scenario.present("app"), *site.scenario.tier("storage")]

    def looked(machine: Machine) -> dict:
        place = places["app" if "app" in machine.tiers else "storage"]
        given = {**place, "seconds": SECONDS, "sample": 100}
        program = f"GIVEN = {given!r}\n{PROGRAM}"
        return json.loads(site.python(machine.name, program, 3 * SECONDS))

    answers = together(machines, looked)
    paths = [f"{name}:{path}" for name, answer in answers.items() for path in answer["found"]]
    names = max(answer["names"] for answer in answers.values())
    seen = ", ".join(paths[:5]) or f"none in {home}, none among {names} names in {brick}"
    return not paths, seen
