"""Whether the backups are young enough, by what pgBackRest says of them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from fabfile.scenario import Scenario
from fabfile.tiers.storage import repository
from fabfile.verify.check import Check, Site, judged

HOUR, DAY = 3600, 24 * 3600
# A differential one is due each day, a full one each week: with time to make it.
LAST, FULL = 26 * HOUR, 7 * DAY + 6 * HOUR
WITHOUT = "backups: the database survives the loss of its machine"


@dataclass(frozen=True)
class Kept:
    """A backup of the database: its name, what kind it is of, and when it was made."""

    label: str
    kind: str
    stop: int
    size: int


def checks(site: Site) -> list[Check]:
    """Check the age of the last backups."""
    if not repository.keepers(site.scenario):
        return [Check(WITHOUT, True, f"no: {without(site.scenario)}", warning=True)]
    return [judged("backups: the last ones of the database are young", lambda: _young(site))]


def without(scenario: Scenario) -> str:
    """Return why there are no backups."""
    if not scenario.tier("storage"):
        return "there are none; three machines of the tier 'storage' would keep them"
    return (
        "pgBackRest speaks with its own version only, and no storage server runs the Debian of "
        "the database server"
    )


def known(text: str) -> list[Kept]:
    """Return the backups that `pgbackrest info --output=json` tells of, the oldest first."""
    found = [
        Kept(each["label"], each["type"], each["timestamp"]["stop"], each["info"]["size"])
        for stanza in json.loads(text)
        for each in stanza.get("backup", [])
    ]
    return sorted(found, key=lambda each: each.stop)


def ago(seconds: float) -> str:
    """Return how long ago something was, as a person says it."""
    for size, unit in ((DAY, "d"), (HOUR, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(0, seconds):.0f} s ago"


def _young(site: Site) -> tuple[bool, str]:
    machine = site.first_of(repository.keepers(site.scenario))
    return judge(known(site.run(machine.name, repository.info())), time.time())


def judge(backups: list[Kept], now: float) -> tuple[bool, str]:
    """Return whether the last backups are young enough, and what there is."""
    full = [each for each in backups if each.kind == "full"]
    if not full:
        return False, "there is no backup"
    last, first = backups[-1], full[0]
    seen = f"the last one {ago(now - last.stop)}, the last full one {ago(now - full[-1].stop)}"
    since = time.strftime("%d %b %H:%M:%S", time.localtime(first.stop))
    seen += f"; any second since {since} can be had"
    return now - last.stop < LAST and now - full[-1].stop < FULL, seen
