"""Services: what each machine is there for runs, starts at boot, and nothing has failed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from fabfile.scenario import Machine
from fabfile.scenario.debian import UnknownSystem
from fabfile.tiers import views_of
from fabfile.verify.check import Check, Site, judged


def checks(site: Site) -> list[Check]:
    """Check the services of every machine that Fabric logs in on."""
    absent = site.scenario.absent
    machines = [each for each in site.scenario.machines if each.login and each.name not in absent]
    with ThreadPoolExecutor(max(1, len(machines))) as pool:
        return list(pool.map(lambda machine: _check(site, machine), machines))


def _check(site: Site, machine: Machine) -> Check:
    try:
        units = [unit for view in views_of(site.scenario, machine) for unit in view.units]
    except UnknownSystem as unknown:
        return Check(f"services: {machine.name} runs what it is there for", False, str(unknown))

    def judge() -> tuple[bool, str]:
        lines = [
            f"echo {unit} $(systemctl is-active {unit}; systemctl is-enabled {unit})"
            for unit in units
        ]
        lines.append("echo failed $(systemctl --failed --no-legend --plain | cut -d' ' -f1)")
        states = [line.split() for line in site.run(machine.name, "\n".join(lines)).splitlines()]
        failed = [unit for words in states if words[0] == "failed" for unit in words[1:]]
        good = [
            words
            for words in states
            if words[1:2] == ["active"]
            # Debian's generator enables a PostgreSQL cluster again at each boot.
            and words[2:3] in (["enabled"], ["enabled-runtime"])
        ]
        seen = [" ".join(words) for words in states if words[0] != "failed"]
        seen.append(f"failed: {', '.join(failed)}" if failed else "no failed unit")
        return len(good) == len(units) and not failed, "; ".join(seen)

    what = " and ".join(unit.removesuffix(".service") for unit in units)
    promise = f"runs {what}, also after a reboot; nothing has failed" if units else "nothing failed"
    return judged(f"services: {machine.name} {promise}", judge)
