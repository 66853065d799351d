"""Two databases: what follows from that, and what each of the two is given."""

import json

import pytest

from fabfile.engine.change import Change
from fabfile.operations import databases
from fabfile.operations.restoring import several
from fabfile.scenario import ROOT, load
from fabfile.scenario.credentials import make_secrets
from fabfile.scenario.inventory import Inventory
from fabfile.tiers.database import members, patroni
from fabfile.tiers.database import state as database
from fabfile.tiers.storage import agreement
from tests.unit.conftest import issue


@pytest.fixture
def pairs(states):
    """Return the scenario of examples/pairs.py, with secrets of its own."""
    scenario = load(ROOT / "examples/pairs.py", Inventory(), states)
    make_secrets(scenario.state)
    issue(scenario)
    return scenario


def file(scenario, name, path):
    """Return what a file of a database has."""
    resources = database.desired(scenario, scenario.machine(name))
    return next(each.content for each in resources if each.key == path)


def test_one_database_has_nothing_of_a_pair(scenario):
    keys = {each.key for each in database.desired(scenario, scenario.machine("bbdd"))}
    assert not [key for key in keys if "patroni" in key.lower() and "take" not in key]
    assert agreement.members(scenario) == ()
    assert not [flow for flow in scenario.flows if flow.listener.pair]


def test_the_app_servers_find_the_shared_address_and_whom_it_leads_to(pairs):
    assert pairs.database_address == "10.1.4.30"
    way = file(pairs, "bbdd2", "/etc/haproxy/primary.cfg")
    assert "server bbdd 10.1.4.31:5432" in way and "server bbdd2 10.1.4.32:5432" in way
    assert "bind 10.1.4.30:5432" in way
    # PostgreSQL sees who leads to it, so that is where the app servers are told apart.
    apps = " ".join(str(app.addresses["lan4"]) for app in pairs.tier("app"))
    assert f"reject unless {{ src {apps} }}" in way
    access = file(pairs, "bbdd", "/etc/postgresql/17/main/pg_hba.conf")
    assert "10.1.4.11" not in access and "10.1.4.32/32" in access


def test_no_member_says_for_itself_what_all_share(pairs):
    own = file(pairs, "bbdd", "/etc/postgresql/17/main/conf.d/crm.conf")
    assert "max_connections" not in own and "listen_addresses" not in own
    assert patroni.wanted(pairs)["postgresql"]["parameters"]["max_connections"] >= 100
    times = patroni.wanted(pairs)
    # Patroni's documentation: a primary must have the time to give up before another one is.
    assert times["loop_wait"] + 2 * times["retry_timeout"] <= times["ttl"]


@pytest.mark.parametrize(
    ("replication", "modes"),
    [
        ("synchronous", (True, False)),
        ("strict", (True, True)),
        ("asynchronous", (False, False)),
    ],
)
def test_a_person_chooses_how_they_copy_each_other(entries, read, replication, modes):
    entries["REPLICATION"] = replication
    shared = patroni.wanted(read())
    assert (shared["synchronous_mode"], shared["synchronous_mode_strict"]) == modes


def test_another_way_to_copy_is_a_mistake(entries, mistakes):
    entries["REPLICATION"] = "often"
    assert [each for each in mistakes() if each.startswith("REPLICATION is 'often', it must be")]


def test_what_differs_of_what_they_share_is_named(pairs):
    shared = patroni.Shared("", patroni.wanted(pairs))
    assert shared.plan(json.dumps(patroni.wanted(pairs)), set()) is None
    other = patroni.wanted(pairs)
    other["ttl"] = 30
    other["postgresql"]["parameters"]["wal_level"] = "logical"
    change = shared.plan(json.dumps(other), set())
    assert change.summary == "write what the databases share: ttl, wal_level"
    assert shared.plan("", set()) and shared.plan("no JSON", set())


def test_standbys_change_before_the_primary_and_new_machines_last(pairs, monkeypatch):
    class Machine:
        def __init__(self, name):
            self.name = name

    machines = [Machine(name) for name in ("bbdd", "bbdd2")]
    for roles, order in (
        ({"bbdd": members.PRIMARY, "bbdd2": members.STANDBY}, ["bbdd2", "bbdd"]),
        ({"bbdd": members.STANDBY, "bbdd2": members.PRIMARY}, ["bbdd", "bbdd2"]),
        ({"bbdd": members.PRIMARY, "bbdd2": ""}, ["bbdd", "bbdd2"]),
        ({"bbdd": "", "bbdd2": ""}, ["bbdd", "bbdd2"]),
        ({"bbdd": "", "bbdd2": members.ALONE}, ["bbdd2", "bbdd"]),
    ):
        monkeypatch.setattr(members, "role", lambda _, remote, roles=roles: roles[remote.name])
        batches = members.Members(pairs).batches(machines)
        assert [[each.name for each in batch] for batch in batches] == [[name] for name in order]


def test_a_database_is_made_only_where_no_member_has_it(pairs, monkeypatch):
    made = Change(database.creation(pairs), "create it", ":")
    monkeypatch.setattr(databases, "_reason", lambda wanted, plan: "gone")
    both = {"database": {"bbdd": [made], "bbdd2": [made]}}
    assert databases.emptiness(pairs, both) == "gone"
    # The other one takes a copy.
    assert databases.emptiness(pairs, {"database": {"bbdd2": [made]}}) == ""


def test_a_restore_in_its_place_wants_one_database(scenario, pairs, monkeypatch):
    assert several(scenario) == ""
    monkeypatch.setattr("fabfile.operations.restoring.primary", lambda of: of.machine("bbdd2"))
    assert several(pairs).startswith("The database of bbdd2 is copied by bbdd: take bbdd out of ")
