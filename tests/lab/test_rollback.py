"""A migration that did harm: release and data go back to what was before it, by one command."""

import secrets

import pytest

from tests.lab import places
from tests.lab.commands import wait_for
from tests.lab.scaled import statuses

MIGRATIONS = places.APPLICATION / "migrations"
HARM = "DELETE FROM customers; ALTER TABLE customers ADD COLUMN harm text;"
CLEAN = """
ALTER TABLE customers DROP COLUMN IF EXISTS harm;
DELETE FROM customers WHERE name IN ('before', 'after');
"""
ALL = "SELECT string_agg(name, ',' ORDER BY id) FROM customers"
COLUMN = "SELECT count(*) FROM information_schema.columns WHERE column_name = 'harm'"


@pytest.fixture
def harmed(repaired):
    """Deploy a release whose migration does harm; give what there was before."""
    wait_for("all servers up", lambda: {*statuses(repaired).values()} == {"UP"})
    repaired.sql("INSERT INTO customers (name) VALUES ('before')", "crm")
    before = repaired.sql(ALL, "crm")
    release = repaired.do("s1", "readlink /srv/crm/current")
    # Like no other: the database remembers which ones it has seen.
    migration = MIGRATIONS / f"9999_{secrets.token_hex(8)}.sql"
    migration.write_text(HARM)
    try:
        done = repaired.fab("deploy")
        assert "the way back: invoke backup.restore --to" in done.out
        repaired.sql("INSERT INTO customers (name) VALUES ('after')", "crm")
        assert repaired.sql(ALL, "crm") == "after"
        yield before, release
    finally:
        migration.unlink()
        repaired.fab("deploy")
        repaired.sql(CLEAN, "crm")
        repaired.await_answer()


def test_release_and_data_go_back_to_before_a_migration(repaired, harmed):
    before, release = harmed
    refused = repaired.fab("app.rollback", "--with-data", code=1)
    assert "EVERYTHING WRITTEN SINCE IS LOST" in refused.text and "say --yes" in refused.err
    assert "Nothing was changed." in refused.text and repaired.sql(ALL, "crm") == "after"
    done = repaired.fab("app.rollback", "--with-data", "--yes", limit=180)
    assert "the database is as of" in done.out and "runs release" in done.out
    assert repaired.sql(ALL, "crm") == before and repaired.sql(COLUMN, "crm") == "0"
    assert {repaired.do(name, "readlink /srv/crm/current") for name in repaired.apps} == {release}
    repaired.await_answer()
    again = repaired.fab(
        "app.rollback", "--to", release.split("/")[1].strip(), "--with-data", code=1
    )
    assert "No migration is noted since" in again.err, again.text
    # The source still has the harm: the next deploy would bring it again.
    assert "migrate the database" in repaired.fab("plan", code=2).out
