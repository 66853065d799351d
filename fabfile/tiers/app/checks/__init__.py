"""Application: used through the balancer as a person would, if it is one whose forms we know."""

from __future__ import annotations

from fabfile.tiers.app.checks import crm, crm_2017
from fabfile.tiers.app.checks.browser import Browser
from fabfile.verify.check import Check, Site, judged

KNOWN = {"crm": crm.checks, "crm-2017": crm_2017.checks}


def checks(site: Site) -> list[Check]:
    """Use the application; of one whose forms nobody has described, only its health."""
    application = site.scenario.application
    if application.name in KNOWN:
        return KNOWN[application.name](site)
    browser = Browser(site.scenario)
    sentence = f"application: every server answers {application.health}"
    return [judged(sentence, lambda: browser.everywhere(application.health, b""))]
