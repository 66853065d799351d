"""Application: used through the balancer as a person would, if it is one whose forms we know."""

from __future__ import annotations

from fabfile.tiers.app.checks import crm, crm_2017, processes
from fabfile.tiers.app.checks.browser import Browser
from fabfile.verify.check import Check, Site, judged

KNOWN = {"crm": crm.checks, "crm-2017": crm_2017.checks}


def checks(site: Site) -> list[Check]:
    """Use the application; of one whose forms nobody has described, only its health.

    While nobody serves, which the balancer's check says, there is nothing to be used.
    """
    application = site.scenario.application
    if not site.scenario.serving:
        return processes.checks(site)
    return [*KNOWN.get(application.name, _answers)(site), *processes.checks(site)]


def _answers(site: Site) -> list[Check]:
    browser, path = Browser(site.scenario), site.scenario.application.health
    sentence = f"application: every server answers {path}"
    return [judged(sentence, lambda: browser.everywhere(path, b""))]
