"""Internet: the users reach every app server through the balancer, evenly."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import requests

from fabfile.engine.remote import Remote
from fabfile.engine.waiting import wait_until
from fabfile.tiers.app import maintenance
from fabfile.tiers.balancer import pair
from fabfile.verify.check import Check, Site, judged, together

POLL_SECONDS = 15
ASK_SECONDS = 6
# With ten requests a server, one of twice the weight gets five more than another at least.
ROUNDS, TOLERANCE = 10, 2
WINDOWS = 3

STATISTICS = Path(__file__).parent / "programs/statistics.py"
SOCKET = "/run/haproxy/admin.sock"


def checks(site: Site) -> list[Check]:
    """Check that all app servers answer the users, each as often as the others."""
    everyone = "internet: every app server answers"
    if not site.scenario.serving:
        return [Check(everyone, False, maintenance.told(site.scenario))]
    return [
        judged(everyone, lambda: _all_answer(site)),
        judged("internet: requests are spread evenly", lambda: _even(site)),
        *pair.checks(site),
    ]


def _server(browser: requests.Session, url: str) -> str:
    answer = browser.get(url, timeout=3, allow_redirects=False)
    return answer.headers.get("X-Served-By", f"nobody (status {answer.status_code})")


def _page(site: Site) -> str:
    # What no application makes a session for, as CRM_2017 does for each other page.
    return site.scenario.url + site.scenario.application.health[0].lstrip("/")


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
    in_maintenance = ", ".join(site.scenario.inventory.maintenance)
    seen = f"{', '.join(sorted(answered))} at {site.scenario.url}"
    return True, seen + (f"; in maintenance: {in_maintenance}" if in_maintenance else "")


def _even(site: Site) -> tuple[bool, str]:
    """Ask, and judge by what the balancer gave each server meanwhile, of all users' requests.

    Of our own answers alone nothing follows while others ask: a client that takes every other turn
    leaves us the same server each time, or an even share of an uneven spread. Given out in turn,
    all requests of a window differ by one a server at most (so in each of 300,000 windows under
    load), and by one more for each of its ends that reads the counters while a request is being
    given out: they are read within 10 microseconds, so that is one in 1,000 at 100 requests/s.
    Both ends do in one window of 10^6, and three windows in a row in one case of 10^18.
    """
    names = [machine.name for machine in site.scenario.serving]
    seen = ""
    for _ in range(WINDOWS):
        before = _given(site)
        ours = _answers(site, ROUNDS * len(names))
        given = {name: count - before.get(name, 0) for name, count in _given(site).items()}
        even, seen = _judge(names, ours, given)
        if even:
            break
    return even, seen


def _judge(names: list[str], ours: Counter[str], given: dict[str, int]) -> tuple[bool, str]:
    shares = [given.get(name, 0) for name in names]
    total = sum(ours.values())
    # Who has answered us is who the balancer has given our requests to, and nobody else.
    true = not set(ours) - set(names) and all(ours[name] <= given.get(name, 0) for name in names)
    enough = sum(shares) >= ROUNDS * len(names)
    every = sorted({*names, *ours})
    seen = f"{total} requests: " + ", ".join(f"{name} {ours[name]}" for name in every)
    if sum(shares) != total:
        seen += f"; with those of all users {sum(shares)}: "
        seen += ", ".join(f"{name} {given.get(name, 0)}" for name in names)
    if not enough:
        seen += f"; {ROUNDS * len(names)} are needed to judge, within {ASK_SECONDS} s"
    return true and enough and max(shares) - min(shares) <= TOLERANCE, seen


def _answers(site: Site, total: int) -> Counter[str]:
    """Return how many of so many requests each server has answered, as users see it."""
    answers: Counter[str] = Counter()

    def asked(_left: float) -> bool:
        answers[_server(browser, _page(site))] += 1
        return sum(answers.values()) >= total

    with _browser() as browser:
        wait_until(asked, ASK_SECONDS, 0)
    return answers


def _statistics(site: Site) -> list[str]:
    """Return what all balancers say that were reached: any of them may have been asked."""
    there = [m for m in site.scenario.balancers if isinstance(site.remotes.get(m.name), Remote)]
    asked = there or [site.first("balancer")]
    return [*together(asked, lambda each: site.program(each.name, STATISTICS, SOCKET)).values()]


def _given(site: Site) -> dict[str, int]:
    """Return how many requests the balancers have given to each app server so far."""
    texts = _statistics(site)
    rows = [row for text in texts for row in csv.DictReader(text.removeprefix("# ").splitlines())]
    servers = {machine.name for machine in site.scenario.tier("app")}
    given: Counter[str] = Counter()
    for row in rows:
        # In each backend that has it.
        if row["svname"] in servers:
            given[row["svname"]] += int(row["lbtot"])
    return given
