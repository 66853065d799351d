"""Fixtures: a PostgreSQL of their own, the application, and browsers that use it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from application import create_app
from application.migrations import migrate
from application.settings import Settings
from crm_browser import PASSWORD_HASH, Browser
from crm_cluster import Cluster
from flask import Flask

# All that a test gets of the environment of who runs it.
ENVIRONMENT = ("PATH", "TMPDIR", "PYTEST_CURRENT_TEST")


@pytest.fixture(scope="session", autouse=True)
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide what the person has: variables, PostgreSQL's among them, home and its settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ.keys() - {*ENVIRONMENT}:
            patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Give a running PostgreSQL."""
    cluster = Cluster()
    try:
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture(scope="session")
def migrated(cluster: Cluster) -> str:
    """Return the address of a database with all tables."""
    migrate(cluster.create("crm"))
    return cluster.url("crm")


@pytest.fixture
def empty_database(cluster: Cluster, request: pytest.FixtureRequest) -> str:
    """Return the address of a database without any table."""
    name = f"empty_{abs(hash(request.node.name))}"
    return cluster.create(name)


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    """Return an empty uploads directory."""
    directory = tmp_path / "uploads"
    directory.mkdir()
    return directory


@pytest.fixture(scope="session")
def shared_app(migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """Give the server most tests use: making one for each would take most of their time."""
    app = create_app(Settings(migrated, "k" * 32, tmp_path_factory.mktemp("unused")))
    yield app
    app.extensions["crm_database"].close()


@pytest.fixture
def app(cluster: Cluster, shared_app: Flask, uploads: Path) -> Flask:
    """Return one server with an administrator, no customer and no photo."""
    cluster.execute(
        "DELETE FROM users; DELETE FROM login_failures; DELETE FROM customers;"
        f"INSERT INTO users (login, password_hash) VALUES ('admin', '{PASSWORD_HASH}')",
        "crm",
    )
    shared_app.extensions["crm_uploads"].directory = uploads
    return shared_app


@pytest.fixture
def make_app(uploads: Path) -> Iterator[Callable[[str], Flask]]:
    """Give a function that makes another server with the same directory and secret key."""
    made = []

    def make(database_url: str) -> Flask:
        made.append(create_app(Settings(database_url, "k" * 32, uploads)))
        return made[-1]

    yield make
    for app in made:
        app.extensions["crm_database"].close()


@pytest.fixture
def visitor(app: Flask) -> Browser:
    """Return a visitor who is not logged in."""
    return Browser(app)


@pytest.fixture
def browser(app: Flask) -> Browser:
    """Return a visitor who is logged in."""
    browser = Browser(app)
    assert browser.log_in().status_code == 303
    return browser


@pytest.fixture
def files(uploads: Path) -> Callable[[], list[str]]:
    """Give a function that lists the files below the uploads directory."""
    return lambda: sorted(path.name for path in uploads.rglob("*") if path.is_file())
