"""Internet: the users reach every app server through the balancer, evenly."""

from __future__ import annotations

from collections import Counter

import requests

from fabfile.verify.check import Check, Site, judged
from fabfile.waiting import wait_until

POLL_SECONDS = 15
ROUNDS = 10


def checks(site: Site) -> list[Check]:
    """Check that all app servers answer the users, each as often as the others."""
    return [
        judged("internet: every app server answers", lambda: _all_answer(site)),
        judged("internet: requests are spread evenly", lambda: _even(site)),
    ]


def _server(browser: requests.Session, url: str) -> str:
    answer = browser.get(url, timeout=3, allow_redirects=False)
    return answer.headers.get("X-Served-By", f"nobody (status {answer.status_code})")


def _page(site: Site) -> str:
    # What no application makes a session for, as CRM_2017 does for each other page.
    return site.scenario.url + site.scenario.application.health.lstrip("/")


def _browser() -> requests.Session:
    browser = requests.Session()
    browser.trust_env = False  # a proxy would not be the way of the users
    return browser


def _all_answer(site: Site) -> tuple[bool, str]:
    servers = {machine.name for machine in site.scenario.serving}
    answered: set[str] = set()
    reason = ""

    def asked(_left: float) -> bool:
        nonlocal reason
        try:
            answered.add(_server(browser, _page(site)))
        except requests.RequestException as error:
            reason = f" ({type(error).__name__})"
        return servers <= answered

    with _browser() as browser:
        wait_until(asked, POLL_SECONDS)
    never = sorted(servers - answered)
    if never:
        return False, f"never answered within {POLL_SECONDS} s: {', '.join(never)}{reason}"
    resting = ", ".join(site.scenario.inventory.maintenance)
    seen = f"{', '.join(sorted(answered))} at {site.scenario.url}"
    return True, seen + (f"; in maintenance: {resting}" if resting else "")


def _even(site: Site) -> tuple[bool, str]:
    names = [machine.name for machine in site.scenario.serving]
    with _browser() as browser:
        total = ROUNDS * len(names)
        share = Counter(_server(browser, _page(site)) for _ in range(total))
    counts = [share[name] for name in names]
    # One more or less: another client's request may take a turn in between.
    even = max(counts) - min(counts) <= 1 and not set(share) - set(names)
    every = sorted({*names, *share})
    return even, f"{total} requests: " + ", ".join(f"{name} {share[name]}" for name in every)
