"""Fixtures: a PostgreSQL of their own, the application, and a browser that uses it."""

import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from application import create_app  # noqa: E402
from application.migrations import migrate  # noqa: E402
from application.settings import Settings  # noqa: E402
from crm_cluster import Cluster  # noqa: E402 - only importable after the line above

# All that a test gets of the environment of who runs it.
ENVIRONMENT = ("PATH", "TMPDIR", "PYTEST_CURRENT_TEST")
PASSWORD = "correct horse"
# One round: the tests are not about how slow hashing is.
PASSWORD_HASH = generate_password_hash(PASSWORD, "pbkdf2:sha256:1")


class Browser:
    """A visitor with a cookie jar who reads the CSRF token from the page shown last."""

    def __init__(self, app: Flask) -> None:
        """Start without a cookie."""
        self.client = app.test_client()
        self.token = ""

    def get(self, path: str) -> TestResponse:
        """Open a page."""
        response = self.client.get(path)
        found = re.search(r'name="csrf_token" value="([^"]+)"', response.get_data(as_text=True))
        self.token = found[1] if found else self.token
        return response

    def post(self, path: str, **fields: object) -> TestResponse:
        """Send a form; bytes become a file whose name says nothing about its content."""
        data = {"csrf_token": self.token}
        for name, value in fields.items():
            data[name] = (io.BytesIO(value), "upload.bin") if isinstance(value, bytes) else value
        return self.client.post(path, data=data)

    def log_in(self, login: str = "admin", password: str = PASSWORD) -> TestResponse:
        """Log in, and read the token of the new session."""
        self.get("/login")
        response = self.post("/login", login=login, password=password)
        if response.status_code == 303:
            self.get("/customers/new")
        return response

    def add(self, name: str, **fields: object) -> str:
        """Add a customer and return its path."""
        response = self.post("/customers/new", name=name, **fields)
        assert response.status_code == 303, response.get_data(as_text=True)
        return response.headers["Location"]

    def api(self, method: str, path: str, body: object = None) -> TestResponse:
        """Call the JSON API with the CSRF token."""
        headers = {"X-CSRF-Token": self.token}
        return self.client.open(path, method=method, json=body, headers=headers)


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
