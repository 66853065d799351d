"""verify on a site that is in use: true each time, and nobody notices."""

import json
import os
import time

from tests.campaign.site import fill
from tests.lab.commands import run
from tests.lab.lab import BIN
from tests.lab.traffic import traffic

PHOTOS = 20_000
SECONDS, LIMIT = 300, 20
# 80 requests a second at most, and two customers with a photo entered.
LOAD = {"kept": 4, "new": 4, "interval": 0.1, "writers": 1, "write_interval": 0.5}


def left(lab):
    """Return what the checks have left: files, customers, and log-in failures."""
    files = [lab.do(name, "ls -d /nas/brick/.verify-* 2>/dev/null || :") for name in BRICKS]
    rows = "SELECT (SELECT count(*) FROM customers WHERE for_checks), count(*) FROM login_failures"
    return files, lab.sql(rows, "crm")


BRICKS = ("nas1", "nas2", "nas3")


def test_verify_in_a_loop_over_a_site_that_lives(lab):
    begin = time.monotonic()
    fill(lab, PHOTOS)
    print(f"\n{PHOTOS} photos after {time.monotonic() - begin:.0f} s")
    before, epoch = (
        left(lab),
        lab.sql("SELECT session_epoch FROM users WHERE login = 'admin'", "crm"),
    )
    times, wrong = [], []
    with traffic(lab.scenario, **LOAD) as running:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            begin = time.monotonic()
            done = run(
                BIN / "invoke", "verify", "--json", limit=240, code=None,
                environment=lab.environment(),
            )  # fmt: skip
            times.append(time.monotonic() - begin)
            answer = json.loads(done.out)
            wrong += [check for check in answer["checks"] if not check["ok"]]
            print(
                f"verify: {times[-1]:.1f} s, {'true' if answer['ok'] else 'FALSE'}, "
                f"load average {os.getloadavg()[0]:.1f}"
            )
    report = running.report
    print(f"{len(times)} times verify, slowest {max(times):.1f} s")
    print(f"meanwhile {len(report.seen) / report.seconds:.0f} requests/s: {report}")
    assert wrong == []
    assert report.errors == [] and not report.lost and not report.errors_after
    assert lab.sql("SELECT session_epoch FROM users WHERE login = 'admin'", "crm") == epoch
    assert left(lab) == before
    assert max(times) <= LIMIT, times
