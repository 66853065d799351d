"""Application: used through the balancer as a person would, if it is one whose forms we know."""

from __future__ import annotations

from fabfile.verify import crm, crm_2017
from fabfile.verify.check import Check, Site

KNOWN = {"crm": crm.checks, "crm-2017": crm_2017.checks}


def checks(site: Site) -> list[Check]:
    """Use the application; of one that nobody has written checks for, only say so."""
    name = site.scenario.application.name
    if name in KNOWN:
        return KNOWN[name](site)
    seen = f"nobody has described the forms of {name}: the other checks are all there are"
    return [Check("application: its forms work on every server", True, seen)]
