"""An app server that is away: the others are deployed without it, and it comes back up to date."""

import json

import pytest

from tests.lab.commands import wait_for
from tests.lab.scaled import (
    apps,
    assert_file_and_process_agree,
    restore,
    statuses,
)
from tests.lab.test_scaling import change_application, releases

WAY_OUT = "If it stays away, 'invoke maintenance --server s1 on' has it left out until it is back"


def test_a_balancer_that_is_away_does_not_stop_another_tier(repaired):
    repaired.invoke("lab.stop", "lb", "--kill")
    try:
        done = repaired.fab("database.deploy")
        assert "lb is not needed for this, and left as it is" in done.out
        assert "0 changes: 1 machine is as it should be" in done.out
        assert repaired.fab("balancer.deploy", code=1).err.startswith("lb: ")
        # The status of the volume is asked of another one, too.
        repaired.invoke("lab.stop", "nas1", "--kill")
        rows = json.loads(repaired.invoke("status", "--json", code=1).out)
        seen = {row["machine"]: row["sees"] for row in rows}
        assert seen["nas2"]["bricks"] == "2 of 3 up" and not seen["nas3"]
    finally:
        repaired.invoke("lab.start", "lb,nas1")
    repaired.await_answer()
    repaired.await_healed()


@pytest.fixture(scope="module")
def without_s1(repaired):
    """Take away the server that builds and migrates, as a power cut does, and bring it back."""
    repaired.invoke("lab.stop", "s1", "--kill")
    wait_for("HAProxy to notice", lambda: statuses(repaired)["s1"] == "DOWN", 15)
    yield repaired
    repaired.invoke("lab.start", "s1")
    restore(repaired)


def test_the_sentence_offers_the_way_out_and_nothing_is_changed(without_s1):
    before = {name: without_s1.do(name, "readlink /srv/crm/current") for name in ("s2", "s3")}
    for words in (["deploy"], ["plan"], ["app.restart"]):
        done = without_s1.fab(*words, code=1)
        lines = done.text.splitlines()
        assert [line for line in lines if line.startswith("s1: ") and WAY_OUT in line], done.text
        assert lines[-1] == "Nothing was changed." and len(lines) == 2, done.text
    after = {name: without_s1.do(name, "readlink /srv/crm/current") for name in ("s2", "s3")}
    assert after == before


def test_in_maintenance_it_is_left_out_of_all_operations(without_s1):
    without_s1.invoke("maintenance", "--server", "s1", "on")
    # Another server builds: it gets what that needs, unless a run before has given it that.
    done = without_s1.fab("plan", code=None)
    assert "s1 is in maintenance, and left as it is" in done.out and "s1 (" not in done.out
    assert without_s1.invoke("status").code == 0
    assert "checks are true" in without_s1.invoke("verify").out
    change_application()
    done = without_s1.fab("deploy", limit=120)
    assert "0 changes: 8 machines" in without_s1.fab("deploy").out
    assert done.begun("migrate the database of crm") == 1 and "\ns1  " not in done.out
    runs = {name: without_s1.do(name, "readlink /srv/crm/current") for name in ("s2", "s3")}
    assert len({*runs.values()}) == 1
    assert "2 changes" in without_s1.fab("app.restart").out
    without_s1.fab("app.rollback", limit=120)
    without_s1.fab("deploy", limit=120)
    assert {name: without_s1.do(name, "readlink /srv/crm/current") for name in runs} == runs
    assert statuses(without_s1) == {"s1": "MAINT", "s2": "UP", "s3": "UP"}


def test_it_does_not_come_back_before_it_is_there(without_s1):
    done = without_s1.invoke("maintenance", "--server", "s1", "off", code=1)
    assert "s1 cannot be reached, so it stays in maintenance: start it first." in done.err


def test_it_comes_back_with_the_release_of_the_others(without_s1):
    without_s1.invoke("lab.start", "s1")
    without_s1.invoke("maintenance", "--server", "s1", "off", limit=120)
    assert len({*releases(without_s1).values()}) == 1 and len(apps()) == 3
    assert {*statuses(without_s1).values()} == {"UP"}
    assert_file_and_process_agree(without_s1)
    without_s1.assert_nothing_to_do()
