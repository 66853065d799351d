"""Machines of Debian 12, and of 12 and 13 in one scenario: deployed, grown and updated."""

import shutil

import pytest

from tests.lab import places
from tests.lab.apart import Apart
from tests.lab.commands import wait_for

OLD = "bookworm"
# Of each tier that has several machines, some. Of storage the first: GlusterFS wants it the oldest.
MIXED = {"lb", "s2", "nas1"}


@pytest.fixture(scope="module", params=["all of Debian 12", "some of Debian 12"])
def older(request, lab, tmp_path_factory):
    """Give a scenario whose machines are of an older release, deployed."""
    made = Apart(lab, tmp_path_factory.mktemp("older"))
    for name, entry in made.entries["MACHINES"].items():
        if "all" in request.param or name in MIXED:
            entry["release"] = OLD
    source = made.place.state / "application"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(places.APPLICATION, source)
    made.entries["APPLICATION"]["source"] = str(source)
    made.config = made.write("older", made.entries)
    with made.started():
        made.task("fab", "deploy")
        yield made


def test_it_is_true_and_stays_as_it_is(older):
    assert "0 changes: 9 machines" in older.task("fab", "deploy")
    assert "checks are true" in older.task("invoke", "verify")


def test_a_server_is_added_and_the_application_updated(older):
    # The builder must not change by what it was built for.
    said = older.task("invoke", "add-server", "--name", "s4")
    assert "s4" in said.splitlines()[-1], said
    source = older.place.state / "application" / "wsgi.py"
    with source.open("a") as file:
        file.write("# another release\n")
    said = older.task("fab", "deploy")
    assert all(f"give {name} clients again" in said for name in ("s1", "s2", "s3", "s4")), said
    assert "0 changes: 10 machines" in older.task("fab", "deploy")
    wait_for("all to be true", lambda: "checks are true" in older.task("invoke", "verify"), 90)
