"""How many connections PostgreSQL has room for, and what is said when they are too many."""

import http.server
import threading

import pytest
from invoke.exceptions import Exit

from fabfile.operations import spread
from fabfile.tiers.database import limits
from fabfile.tiers.database import notes as databases


@pytest.mark.parametrize(
    ("servers", "connections"),
    [(1, 180), (3, 180), (16, 180), (17, 340), (32, 340), (50, 660), (64, 660), (65, 1000)],
)
def test_there_is_room_for_more_servers_than_there_are(servers, connections):
    assert limits.max_connections(servers, [6, 10]) == connections


@pytest.mark.parametrize("servers", [1, 3, 20, 50, 98])
def test_what_may_be_opened_always_fits(servers):
    assert limits.needed(servers, [10]) <= limits.max_connections(servers, [10])


def test_servers_that_postgresql_cannot_serve_are_refused_with_the_file(entries, mistakes):
    entries["APPLICATIONS"]["crm"]["connections"] = 400
    (sentence,) = mistakes()
    assert sentence == (
        "MACHINES has 3 app servers, each with up to 400 connections to the database "
        "('connections' of crm); with 20 of the deployer's that is 1220, and PostgreSQL gets "
        "1000 at most: fewer servers, or fewer connections each"
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
