"""What is said of app servers in maintenance, and what `verify` makes of it when nobody serves."""

from dataclasses import replace

import pytest

from fabfile.scenario.inventory import Inventory
from fabfile.tiers.app import checks as application
from fabfile.tiers.app import maintenance
from fabfile.tiers.balancer import checks as balancer
from fabfile.verify.check import Site


def aside(scenario, *names):
    return replace(scenario, inventory=Inventory(maintenance=names))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), ""),
        (
            ("s2",),
            "s2 is in maintenance, and gets no clients: 'invoke maintenance --server s2 off'",
        ),
        (("s1", "s3"), "s1, s3 are in maintenance, and get no clients: 'invoke maintenance --s"),
        (("s1", "s2", "s3"), "s1, s2, s3 are in maintenance, so nobody serves: 'invoke mainten"),
    ],
)
def test_who_is_in_maintenance_is_told_with_the_way_back(scenario, names, words):
    told = maintenance.told(aside(scenario, *names))
    assert told.startswith(words) and bool(told) == bool(names)


def test_while_nobody_serves_that_alone_is_false(scenario):
    # Nobody is asked: a machine would be an error.
    site = Site(aside(scenario, "s1", "s2", "s3"), {})
    (check,) = balancer.checks(site)
    assert not check.ok and "so nobody serves" in check.seen
    assert application.checks(site) == []
