"""Whether the backups are young enough, by what pgBackRest says of them."""

from __future__ import annotations

import json
import time
from typing import Any

from fabfile.engine.words import counted
from fabfile.scenario import Scenario
from fabfile.tiers.database import members
from fabfile.tiers.storage import backup, past, repository, second_place
from fabfile.tiers.storage.copier.__main__ import told
from fabfile.tiers.storage.past import Past
from fabfile.verify.check import Check, Site, judged

HOUR, DAY = 3600, 24 * 3600
# A differential one is due each day, a full one each week: with time to make it.
LAST, FULL = 26 * HOUR, 7 * DAY + 6 * HOUR
# It is due after a quarter of an hour, also where one server is dead.
UPLOADS = HOUR / 2
# All are read each week, and it may take long.
READ = 9 * DAY
WITHOUT = "backups: the database survives the loss of its machine"


def checks(site: Site) -> list[Check]:
    """Check the age of the last backups."""
    found = []
    if repository.keepers(site.scenario):
        found.append(
            judged("backups: the last ones of the database are young", lambda: _young(site))
        )
    else:
        found.append(Check(WITHOUT, True, f"no: {without(site.scenario)}", warning=True))
    if site.scenario.tier("storage"):
        found.append(
            judged("backups: the last one of the uploads is young", lambda: _uploads(site))
        )
        found.append(judged("backups: those of the uploads are whole", lambda: _whole(site)))
    if site.scenario.second_place:
        found.append(
            judged("backups: the copy in the second place is young", lambda: _copied(site))
        )
    return found


def without(scenario: Scenario) -> str:
    """Return why there are no backups."""
    if not scenario.tier("storage"):
        return "there are none; three machines of the tier 'storage' would keep them"
    return (
        "pgBackRest speaks with its own version only, and no storage server runs the Debian of "
        "the database server"
    )


def ago(seconds: float) -> str:
    """Return how long ago something was, as a person says it."""
    for size, unit in ((DAY, "d"), (HOUR, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(0, seconds):.0f} s ago"


def _young(site: Site) -> tuple[bool, str]:
    machine = site.first_of(repository.keepers(site.scenario))
    database = members.seen(site)
    given_up = site.run(database.name, f"cat {repository.GIVEN_UP} 2>/dev/null || :").strip()
    found = site.program(machine.name, past.PROGRAM, past.given(), past.SECONDS)
    return judge(past.read(found), time.time(), int(given_up or 0))


def _uploads(site: Site) -> tuple[bool, str]:
    machine = site.first("storage")
    listed = json.loads(site.run(machine.name, backup.listed_uploads(site.scenario)))
    return judge_uploads([each["seconds"] for each in listed], time.time())


def _whole(site: Site) -> tuple[bool, str]:
    machine = site.first("storage")
    # What was read, and the second of the first snapshot, which is that of the repository.
    text = site.run(
        machine.name,
        f"cat {repository.UPLOADS}.checked 2>/dev/null || echo\n"
        f"stat -c %Y {repository.UPLOADS}/config",
    )
    return judge_read(text, time.time())


def judge_read(text: str, now: float) -> tuple[bool, str]:
    """Return whether the snapshots were whole when all were read last, and that is not long ago.

    `text` is when that was, its exit code and its words, and behind it when there were none yet.
    """
    *noted, begun = text.strip().splitlines() or [""]
    when, code, said = (*" ".join(noted).split(" ", 2), "", "", "")[:3]
    begin = int(begun) if begun.isdecimal() else now
    if not when:
        seen = "they were not read yet: 'invoke backup.check' does so, and each week a timer"
        return now - begin < READ, seen
    since = now - float(when)
    seen = f"all were read {ago(since)}"
    if code != "0":
        seen += (
            f"; DAMAGED, or unreadable: {said}. If that is so again after 'invoke backup.check', "
            f"begin anew: 'mv {repository.UPLOADS} {repository.UPLOADS}-damaged' on one storage "
            "server, and 'invoke backup.now'"
        )
    return code == "0" and since < READ, seen


def _copied(site: Site) -> tuple[bool, str]:
    machine = site.first("storage")
    text = site.run(machine.name, f"cat {second_place.TOLD} 2>/dev/null || echo {{}}")
    return judge_copy(json.loads(text), time.time())


def judge_copy(known: dict[str, Any], now: float) -> tuple[bool, str]:
    """Return whether the last copy is young enough, and what failed since."""
    return now - (known.get("done") or 0) < HOUR, told(known, now)


def judge_uploads(snapshots: list[float], now: float) -> tuple[bool, str]:
    """Return whether the last snapshot is young enough, and what there is."""
    if not snapshots:
        return False, "there is none"
    last, first = now - max(snapshots), now - min(snapshots)
    seen = f"{ago(last)}; {counted(len(snapshots), 'snapshot')}, the first {ago(first)}"
    return last < UPLOADS, seen


def judge(kept: Past, now: float, given_up: int = 0) -> tuple[bool, str]:
    """Return whether the last backups are young enough, and what there is.

    `given_up` is when a piece of PostgreSQL's log was last not kept.
    """
    full = [each for each in kept.backups if each.kind == "full"]
    if not full:
        return False, "there is no backup"
    last = kept.backups[-1]
    seen = f"the last one {ago(now - last.stop)}, the last full one {ago(now - full[-1].stop)}"
    seen += f"; {kept.told(_short)} can be had"
    if given_up >= last.start:
        return False, (
            f"no storage server kept PostgreSQL's log {ago(now - given_up)}, and its disk was "
            "nearly full: what is written since is in no backup; 'invoke backup.now' makes one"
        )
    return now - last.stop < LAST and now - full[-1].stop < FULL, seen


def _short(seconds: float) -> str:
    return time.strftime("%d %b %H:%M:%S", time.localtime(seconds))
