"""What happens while the database or the uploads directory is away."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from application import database, health, photos
from crm_browser import Browser
from crm_cluster import Cluster
from flask import Flask

END_CONNECTIONS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = 'crm' AND application_name = 'crm'"
)


def test_health(visitor: Browser) -> None:
    response = visitor.get("/health")
    assert response.status_code == 200 and "Set-Cookie" not in response.headers
    assert response.json == {
        "status": "ok",
        "database": "ok",
        "uploads": "ok",
        "server": socket.gethostname(),
    }


def test_health_leaves_nothing_in_the_directory(visitor: Browser, uploads: Path) -> None:
    visitor.get("/health")
    assert list(uploads.iterdir()) == []


def test_health_without_the_directory(visitor: Browser, uploads: Path) -> None:
    uploads.rmdir()
    response = visitor.get("/health")
    assert response.status_code == 503
    assert (response.json["database"], response.json["uploads"]) == ("ok", "unavailable")
    uploads.mkdir()
    assert visitor.get("/health").status_code == 200


@pytest.fixture
def started(make_app: Callable[[str], Flask], migrated: str) -> Browser:
    """Return a visitor of a server that nobody has asked yet."""
    return Browser(make_app(migrated))


@pytest.fixture
def hanging(started: Browser, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let a probe of the directory wait for the event; none is left behind."""
    release = threading.Event()
    monkeypatch.setattr(health, "UPLOADS_LIMIT", 0.05)
    monkeypatch.setattr(photos.Uploads, "check_writable", lambda _: release.wait(10))
    yield release
    release.set()
    for probe in probes():
        probe.join()
    assert started.get("/health").status_code == 200


def probes() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "uploads-probe"]


def test_health_while_the_directory_hangs(started: Browser, hanging: threading.Event) -> None:
    for _ in range(2):
        assert started.get("/health").json["uploads"] == "unavailable"
    assert len(probes()) == 1


def test_health_while_a_directory_that_worked_is_silent_for_a_moment(
    started: Browser, hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging.set()
    assert started.get("/health").json["uploads"] == "ok"
    hanging.clear()
    for _ in range(2):
        assert started.get("/health").json["uploads"] == "ok"
    assert len(probes()) == 1
    monkeypatch.setattr(health, "SILENCE_LIMIT", 0.05)
    assert started.get("/health").json["uploads"] == "unavailable"


def test_the_request_after_lost_connections_works(cluster: Cluster, browser: Browser) -> None:
    app = browser.client.application
    gate = threading.Barrier(3)

    def hold() -> None:
        with app.extensions["crm_database"].transaction():
            gate.wait(30)

    holders = [threading.Thread(target=hold) for _ in range(3)]
    for holder in holders:
        holder.start()
    for holder in holders:
        holder.join()
    assert len(cluster.execute(END_CONNECTIONS)) >= 3
    assert browser.get("/customers").status_code == 200


def test_a_connection_lost_in_the_middle_is_a_503(cluster: Cluster, app: Flask) -> None:
    pool = app.extensions["crm_database"]
    with pytest.raises(database.DatabaseUnavailable), pool.transaction() as cursor:
        cluster.execute(END_CONNECTIONS)
        cursor.execute("SELECT 1")
    pool.ping()


def test_a_statement_that_takes_too_long_is_cancelled(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "STATEMENT_LIMIT", 0.05)
    pool = app.extensions["crm_database"]
    with pytest.raises(database.DatabaseUnavailable), pool.transaction() as cursor:
        cursor.execute("SELECT pg_sleep(5)")
    monkeypatch.setattr(database, "STATEMENT_LIMIT", 4)
    monkeypatch.setattr(database, "ANSWER_LIMIT", 0.05)
    with pytest.raises(database.DatabaseUnavailable), pool.transaction() as cursor:
        cursor.execute("SELECT pg_sleep(0.2)")
    monkeypatch.undo()
    pool.ping()


def test_a_stopped_server_and_its_return(cluster: Cluster, browser: Browser) -> None:
    path = browser.add("Ada")
    visitor = Browser(browser.client.application)
    cluster.stop()
    try:
        page = browser.get(path)
        assert page.status_code == 503 and "The database cannot be reached" in page.text
        api = browser.client.get("/api" + path)
        assert api.status_code == 503 and api.json["error"]
        response = visitor.get("/health")
        assert response.status_code == 503 and response.json["database"] == "unavailable"
        alive = visitor.get("/alive")
        assert alive.status_code == 200 and "Set-Cookie" not in alive.headers
        assert visitor.get("/").status_code == 200
    finally:
        cluster.start()
    assert browser.get(path).status_code == 200
    assert visitor.get("/health").status_code == 200


def test_a_server_that_never_answers_is_no_hang(
    make_app: Callable[[str], Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database.BoundedConnection, "answer_limit", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        app = make_app(f"postgresql://crm:pw@127.0.0.1:{port}/crm")
        begin = time.monotonic()
        assert Browser(app).get("/health").status_code == 503
        assert time.monotonic() - begin < 2


def test_an_unexpected_error_is_a_page(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("application.customers.search", fail)
    response = browser.get("/customers")
    assert response.status_code == 500 and "secret detail" not in response.text
    assert browser.client.get("/api/customers").json["error"]
