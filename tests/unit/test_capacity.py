"""How many connections pooler and PostgreSQL have room for, and what is said of too many."""

import http.server
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from invoke.exceptions import Exit

from fabfile.operations import spread
from fabfile.scenario import Process
from fabfile.tiers.database import limits
from fabfile.tiers.database import notes as databases

MACHINE = SimpleNamespace(tiers=("app",))


@pytest.fixture
def applications(scenario):
    """Give a function that answers applications of so many connections from one server."""
    return lambda *each, **more: [
        replace(scenario.application, connections=number, **more) for number in each
    ]


@pytest.mark.parametrize(
    ("servers", "connections"),
    [(1, 180), (3, 180), (16, 180), (17, 340), (32, 340), (50, 660), (64, 660), (65, 1000)],
)
def test_there_is_room_for_more_servers_than_there_are(applications, servers, connections):
    both = applications(6, 10)
    assert limits.max_connections(servers, both) == connections
    # By the pooler, less those that are the deployer's and go past it.
    assert limits.pool_size(both[1], servers, both, 0) == connections - 15
    assert limits.pool_size(both[0], servers, both, 0) < connections - 15


@pytest.mark.parametrize("servers", [1, 3, 20, 50, 98])
def test_what_may_be_opened_always_fits(applications, servers):
    one = applications(10, processes=(Process("timer", "tick", single=True),))
    for each in (applications(10), one):
        if limits.mistakes([MACHINE] * servers, 3, each):
            continue
        assert limits.needed(servers, each) <= limits.max_connections(servers, each) <= 1000
        assert limits.pool_size(each[0], servers, each, 0) >= servers * 10 + limits.POOLED
        assert limits.clients(servers, each) >= 2 * servers * 10 + limits.POOLED


@pytest.mark.parametrize("servers", [1, 50, 500])
def test_of_transactions_postgresql_has_few_and_the_pooler_all(applications, servers):
    each = applications(50, pool="transaction")
    assert limits.mistakes([MACHINE] * servers, 3, each) == []
    assert limits.max_connections(servers, each) == 120
    assert limits.pool_size(each[0], servers, each, 16) == 16
    assert limits.clients(servers, each) >= 2 * servers * 50
    assert limits.clients(servers, each) + 100 < limits.FILES


def test_beside_each_other_there_is_room_for_both(applications):
    both = [*applications(10), *applications(40, pool="transaction")]
    assert limits.max_connections(3, both) == 16 * 10 + 100 + 20


@pytest.mark.parametrize(
    ("cores", "mebibytes", "connections"),
    [(1, 512, 10), (2, 4000, 16), (4, 16000, 32), (64, 256000, 100), (64, 1000, 35)],
)
def test_how_many_may_work_at_once_follows_from_the_machine(cores, mebibytes, connections):
    assert limits.shared(cores, mebibytes) == connections


def test_servers_that_postgresql_cannot_serve_are_refused_with_the_file(entries, mistakes):
    entries["APPLICATIONS"]["crm"]["connections"] = 400
    (sentence,) = mistakes()
    assert sentence == (
        "MACHINES has 3 app servers, each with up to 400 connections to the database "
        "('connections' of crm); with 20 of the deployer's that is 1220, and PostgreSQL gets "
        "1000 at most: fewer servers, or fewer connections each, or 'pool': 'transaction' if it "
        "can do with that"
    )


def test_servers_that_the_pooler_cannot_serve_are_refused(applications):
    (sentence,) = limits.mistakes([MACHINE] * 101, 3, applications(500, pool="transaction"))
    assert "101 app servers, each with up to 500 connections" in sentence
    assert limits.mistakes([MACHINE] * 99, 3, applications(500, pool="transaction")) == []


def test_a_pool_is_of_sessions_or_transactions(entries, mistakes):
    entries["APPLICATIONS"]["crm"]["pool"] = "statement"
    (sentence,) = mistakes()
    assert sentence == (
        "APPLICATIONS['crm']['pool'] is 'statement', it must be session or transaction"
    )


def test_what_is_known_of_databases_is_kept_and_forgotten(tmp_path):
    state = tmp_path / "state"
    assert databases.known_since(state, "crm") == ""
    databases.note(state, "crm")
    since = databases.known_since(state, "crm")
    databases.note(state, "crm")
    assert databases.known_since(state, "crm") == since != ""
    (state / "databases.json").write_text("[not json")
    assert databases.known_since(state, "crm") == ""
    databases.forget(state)
    databases.forget(state)


class Balancer(http.server.BaseHTTPRequestHandler):
    """Answers as if from s1, always."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("X-Served-By", "s1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


def test_a_new_server_that_answers_nobody_is_no_success(entries, read, monkeypatch, capsys):
    server = http.server.ThreadingHTTPServer(("127.0.0.2", 0), Balancer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    entries["NETWORKS"]["lan2"] = "127.0.0.0/24"
    entries["MACHINES"]["fw"]["lan2"] = "127.0.0.1"
    entries["MACHINES"]["lb"]["lan2"] = "127.0.0.2"
    entries["PORTS"]["http"] = server.server_port
    monkeypatch.setattr(spread, "SPREAD_SECONDS", 0.2)
    try:
        with pytest.raises(Exit) as ended:
            spread.show_spread(read(), ["s1", "s2"])
    finally:
        server.shutdown()
        server.server_close()
    assert ended.value.code == 1
    assert "No user got an answer from s2 within 0.2 s" in ended.value.message
    assert "s2 0" in capsys.readouterr().out
