"""Services: what each machine is there for runs, starts at boot, and nothing has failed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from fabfile.scenario import Machine
from fabfile.scenario.debian import UnknownSystem
from fabfile.tiers import views_of
from fabfile.verify.check import Check, Site, judged

# systemd is slow to answer while it starts many programs.
SECONDS = 30


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
        # One program for all units: each start of it takes a busy machine a second.
        failed = "echo $(systemctl --failed --no-legend --plain | cut -d' ' -f1)"
        show = f"systemctl show -p ActiveState -p UnitFileState {' '.join(units)}"
        text = site.run(machine.name, f"{failed}\n{show if units else ':'}", SECONDS)
        first, _, rest = text.partition("\n")
        # systemctl(1): the properties of each unit, in its order, with an empty line between them.
        shown = [dict(line.split("=", 1) for line in part.split()) for part in rest.split("\n\n")]
        states = {
            unit: (found.get("ActiveState"), found.get("UnitFileState") or "not there")
            for unit, found in zip(units, shown, strict=False)
        }
        # Debian's generator enables a PostgreSQL cluster again at each boot.
        good = {("active", "enabled"), ("active", "enabled-runtime")}
        seen = [f"{unit} {' '.join(map(str, states.get(unit, ())))}" for unit in units]
        seen.append(f"failed: {', '.join(first.split())}" if first.strip() else "no failed unit")
        well = all(states.get(unit) in good for unit in units)
        return well and not first.strip(), "; ".join(seen)

    what = " and ".join(unit.removesuffix(".service") for unit in units)
    promise = f"runs {what}, also after a reboot; nothing has failed" if units else "nothing failed"
    return judged(f"services: {machine.name} {promise}", judge)
