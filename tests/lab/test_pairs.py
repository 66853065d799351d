"""Two firewalls, balancers and databases, as examples/pairs.py has them, and all of it changes."""

import json

import pytest

from fabfile.scenario import load
from tests.lab import places
from tests.lab.apart import Apart
from tests.lab.pairs import entries
from tests.lab.traffic import traffic

pytestmark = pytest.mark.takes_the_lab_away

PAIRS = ("firewall", "balancer", "database")
# What somebody has written into a file of ours on both machines, which a deploy takes away.
CHANGED = {
    "fw": "/etc/fw/fw.fw",
    "lb": "/etc/haproxy/haproxy.cfg",
    "bbdd": f"/etc/postgresql/{places.VERSION}/main/conf.d/crm.conf",
}


@pytest.fixture(scope="module")
def pairs(lab, tmp_path_factory):
    """Give all pairs, deployed."""
    made = Apart(lab, tmp_path_factory.mktemp("pairs"), entries=entries(lab, *PAIRS))
    with made.started():
        made.task("fab", "deploy")
        yield made


def test_all_that_is_promised_of_pairs_holds(pairs):
    found = json.loads(pairs.task("invoke", "verify", "--json"))
    assert found["ok"], [check for check in found["checks"] if not check["ok"]]
    assert "0 changes" in pairs.task("fab", "deploy")


def test_all_of_it_changes_at_once_and_fails_nobody(pairs):
    for first, path in CHANGED.items():
        for name in (first, f"{first}2"):
            pairs.do(name, f"echo '# changed' >>{path}")
    # PostgreSQL starts anew with it.
    for name in ("bbdd", "bbdd2"):
        always = "s/^archive_mode = on/archive_mode = always/"
        pairs.do(name, f"sed -i '{always}' {CHANGED['bbdd']}")
    application = {**pairs.entries["APPLICATION"], "memory": 410}
    config = pairs.write("more", {**pairs.entries, "APPLICATION": application})
    with traffic(load(config)) as running:
        pairs.task("fab", "deploy", config=config)
    report = running.report
    print(report)
    assert report.seen and not report.errors and not report.lost, str(report)
    assert "0 changes" in pairs.task("fab", "deploy", config=config)
