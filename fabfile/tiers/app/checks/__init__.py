"""Application: used through the balancer as a person would, if it is one whose forms we know."""

from __future__ import annotations

from fabfile.tiers.app.checks import crm, crm_2017, processes
from fabfile.tiers.app.checks.browser import Browser
from fabfile.verify.check import Check, Site, judged

KNOWN = {"crm": crm.checks, "crm-2017": crm_2017.checks}


def checks(site: Site) -> list[Check]:
    """Use the application, and ask each server for the pages that `health` lists.

    Of one whose forms nobody has described, these pages are all that is known.

    While nobody serves, which the balancer's check says, there is nothing to be used.
    """
    application = site.scenario.application
    if not site.scenario.serving:
        return processes.checks(site)
    known = KNOWN.get(application.name)
    # That all servers answer the first page is what the balancer's check says.
    pages = application.health[1:] if known else application.health
    return [
        *(known(site) if known else []),
        *(_answered(site, page) for page in pages),
        *processes.checks(site),
    ]


def _answered(site: Site, page: str) -> Check:
    browser = Browser(site.scenario)
    sentence = f"application: every server answers {page}"
    return judged(sentence, lambda: browser.everywhere(page, b""))
