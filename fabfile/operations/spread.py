"""How users are spread over the app servers, asked as one of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from invoke.exceptions import Exit

from fabfile.engine.waiting import wait_until
from fabfile.operations.progress import console
from fabfile.scenario import Scenario

# How long a server that was added may take to answer a user.
SPREAD_SECONDS = 30


def by_number(name: str) -> tuple[int, str]:
    """Return what names are sorted by, so that s10 comes after s9."""
    digits = re.search(r"\d+$", name)
    return int(digits[0]) if digits else 0, name


def show_spread(wanted: Scenario, new: Sequence[str] = ()) -> None:
    """Tell how often each server answers users; raises Exit when a new one does not."""
    served = _spread(wanted, new)
    names = sorted({*served} | {machine.name for machine in wanted.serving}, key=by_number)
    counts = ", ".join(f"{name} {served[name]}" for name in names)
    console.print(f"{served.total()} requests through {wanted.url}: {counts}")
    silent = [name for name in new if not served[name]]
    if silent:
        raise Exit(
            f"No user got an answer from {', '.join(silent)} within {SPREAD_SECONDS} s, so "
            "nothing is added: see app.logs and status, then run it again, or undo it by "
            "remove-server.",
            1,
        )


def _spread(wanted: Scenario, awaited: Sequence[str]) -> Counter[str]:
    """Ask through the balancer, until some servers have answered; return how often each did."""
    # Here, since its import takes longer than all of ours together, and every task reads this file.
    import requests

    served: Counter[str] = Counter()

    def asked(_left: float) -> bool:
        try:
            answer = browser.get(wanted.url + wanted.application.health[0].lstrip("/"), timeout=5)
            good = answer.status_code == 200
            served[answer.headers.get("X-Served-By", "nobody") if good else "nobody"] += 1
        except requests.RequestException:
            served["nobody"] += 1
        enough = served.total() >= 2 * len(wanted.serving)
        return enough and all(served[name] for name in awaited)

    with requests.Session() as browser:
        browser.trust_env = False  # a proxy would not be the way of the users
        # Others ask, too, so a server can miss its turn with us.
        wait_until(asked, SPREAD_SECONDS, 0)
    return served
