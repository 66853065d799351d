"""Uploads that take longer than most: a server that is taken out of service lets them end."""

import hashlib
import io
import re
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urljoin

import pytest
import requests

from fabfile.tiers.app.checks.browser import png
from fabfile.tiers.balancer.haproxy import QUIET_SECONDS
from tests.lab.commands import wait_for
from tests.lab.scaled import apps, restore

# A drain that ended a request after 30 s would cut it; the application takes 60 s at most.
UPLOAD_SECONDS = 50
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Slowly(io.BytesIO):
    """A body that is read in steps, each after a while."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._size = len(body)

    def read(self, size: int | None = -1) -> bytes:
        """Return what comes next, of which there is enough for UPLOAD_SECONDS."""
        step = max(1, self._size // (2 * UPLOAD_SECONDS))
        # The head and what HAProxy waits for come at once.
        if self.tell():
            time.sleep(0.5)
            return super().read(step)
        return super().read(32 * 1024)


class Person:
    """Somebody who is logged in, and adds a customer with a photo by a slow line."""

    def __init__(self, lab) -> None:
        self._url = lab.scenario.url
        self._session = requests.Session()
        self._session.trust_env = False
        form = {"login": "admin", "password": lab.scenario.secret("administrator_password")}
        self._post("/login", **form)

    def _token(self, path: str) -> str:
        return TOKEN.search(self._session.get(urljoin(self._url, path), timeout=15).text)[1]

    def _post(self, path: str, **form: str) -> None:
        form["csrf_token"] = self._token(path)
        self._session.post(urljoin(self._url, path), form, timeout=15).raise_for_status()

    def upload(self, photo: bytes) -> requests.Response:
        """Return the answer to a form that is sent slowly."""
        form = {"csrf_token": self._token("/customers/new"), "name": "Slow"}
        files = {"photo": ("p.png", photo, "image/png")}
        request = requests.Request("POST", urljoin(self._url, "/customers/new"), {}, files, form)
        prepared = self._session.prepare_request(request)
        prepared.body = Slowly(prepared.body)
        return self._session.send(prepared, timeout=2 * UPLOAD_SECONDS, allow_redirects=False)

    def photo_of(self, path: str) -> bytes:
        """Return the photo that the page of a customer shows, and remove the customer."""
        page = self._session.get(urljoin(self._url, path), timeout=15).text
        shown = re.search(r'src="(/photos/[^"]+)"', page)[1]
        photo = self._session.get(urljoin(self._url, shown), timeout=15).content
        token = TOKEN.search(page)[1]
        self._session.post(urljoin(self._url, f"{path}/delete"), {"csrf_token": token}, timeout=15)
        return photo


@contextmanager
def uploading(lab):
    """Give the future of an upload that has reached a server, and see that it succeeds."""
    photo, person = png(side=400), Person(lab)
    with ThreadPoolExecutor(1) as pool:
        answer: Future = pool.submit(person.upload, photo)
        wait_for("the upload to reach a server", lambda: busy(lab) or answer.done())
        yield answer
        done = answer.result()
    assert done.status_code == 303, f"{done.status_code}: {done.text[:300]}"
    stored = person.photo_of(done.headers["Location"])
    assert hashlib.sha256(stored).digest() == hashlib.sha256(photo).digest()


def busy(lab) -> list[str]:
    """Return the servers that work on a request."""
    table = lab.do("lb", "echo 'show stat' | socat -t 5 stdio /run/haproxy/admin.sock")
    rows = [line.split(",") for line in table.splitlines() if line.startswith("app,")]
    return [row[1] for row in rows if row[1] != "BACKEND" and row[4] != "0"]


@pytest.fixture(autouse=True, scope="module")
def three_servers_left(repaired):
    yield
    restore(repaired)


def test_it_survives_a_restart_of_the_application(repaired):
    with uploading(repaired) as upload:
        (server,) = busy(repaired)
        done = repaired.fab("app.restart")
        assert upload.done(), "the restart did not wait for the upload"
    assert f"wait for the requests that {server} still has" in done.out


def test_it_survives_the_removal_of_its_server(repaired):
    repaired.invoke("add-server", "--name", "s4")
    with uploading(repaired) as upload:
        (server,) = busy(repaired)
        begin = time.monotonic()
        repaired.invoke("remove-server", "--name", server)
        assert upload.done(), "the removal did not wait for the upload"
    assert time.monotonic() - begin > QUIET_SECONDS
    assert server not in apps()
