"""Clocks: every machine has the time of this computer.

One that has another takes no package lists, nor the certificates of the others.
"""

from __future__ import annotations

import time

from fabfile.engine.remote import Remote
from fabfile.scenario import Machine
from fabfile.verify.check import Check, Site, judged, together

LIMIT_SECONDS = 60


def checks(site: Site) -> list[Check]:
    """Check the clock of every machine that was reached: the others are told of elsewhere."""
    reached = [
        each for each in site.scenario.machines if isinstance(site.remotes.get(each.name), Remote)
    ]

    def judge() -> tuple[bool, str]:
        found = together(reached, lambda machine: _ahead(site, machine))
        wrong = {name: ahead for name, ahead in found.items() if abs(ahead) > LIMIT_SECONDS}
        told = [f"{name} is {_said(ahead)}" for name, ahead in wrong.items()]
        if len(wrong) == len(found) > 1:
            told.append("or this computer's clock is wrong")
        if told:
            return False, f"{', '.join(told)}; 'timedatectl set-ntp true' sets a clock"
        return True, f"{len(found)} clocks, none more than {LIMIT_SECONDS} s off"

    return [judged("clocks: every machine has the time of this computer", judge)]


def _ahead(site: Site, machine: Machine) -> float:
    """Return by how many seconds a clock is ahead of ours at least; negative when it is behind."""
    begin = time.time()
    there = int(site.run(machine.name, "date +%s"))
    end = time.time()
    return there - end if there > end else min(there + 1 - begin, 0)


def _said(ahead: float) -> str:
    minutes = round(abs(ahead) / 60)
    long = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    return f"{long} {'ahead' if ahead > 0 else 'behind'}"
