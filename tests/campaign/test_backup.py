"""What a backup costs users: full ones of a database and uploads that have grown, under load."""

import statistics
import time
from threading import Thread

from tests.campaign.site import fill
from tests.lab.traffic import traffic

PHOTOS = 2_000
# Some 300 MB that zstd makes little of.
GROW = """
CREATE TABLE IF NOT EXISTS ballast AS
SELECT n, (
    SELECT string_agg(md5(n::text || k::text || random()::text), '') FROM generate_series(1, 30) k
) FROM generate_series(1, 300000) n;
"""
LOAD = {"kept": 4, "new": 4, "interval": 0.25, "writers": 1, "write_interval": 0.5}
PAIRS, SECONDS, TIMES = 5, 30, 1.5


def measured(lab, work=None):
    """Return p99 of half a minute of load in ms, and how long the work beside it takes."""
    took = []

    def during():
        end = time.monotonic() + SECONDS
        while work and time.monotonic() < end:
            begin = time.monotonic()
            work()
            took.append(time.monotonic() - begin)

    with traffic(lab.scenario, **LOAD) as running:
        beside = Thread(target=during)
        beside.start()
        time.sleep(SECONDS)  # the subject of the measurement
        beside.join()
    report = running.report
    assert report.errors == [] and not report.lost, report
    return report.percentile(0.99), took


def test_a_backup_under_load_is_hardly_noticed(lab):
    fill(lab, PHOTOS)
    lab.sql(GROW, "crm")
    size = lab.sql("SELECT pg_size_pretty(pg_database_size('crm'))")
    print(f"\n{PHOTOS} photos, database {size.strip()}")
    try:
        ratios = []
        for _ in range(PAIRS):
            quiet, _ = measured(lab)
            under, took = measured(lab, lambda: lab.invoke("backup.now", "--full", limit=600))
            ratios.append(under / quiet)
            print(
                f"p99 {quiet:.0f} ms quiet, {under:.0f} ms under a backup of "
                f"{statistics.median(took):.0f} s: {ratios[-1]:.2f} times"
            )
        print(f"median {statistics.median(ratios):.2f} times")
    finally:
        lab.sql("DROP TABLE ballast", "crm")
    assert statistics.median(ratios) <= TIMES, ratios
