"""Uploads that take longer than most: a server that is taken out of service lets them end."""

import hashlib
import io
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from fabfile.tiers.app.checks.browser import png
from fabfile.tiers.balancer.haproxy import QUIET_SECONDS
from tests.lab.commands import wait_for
from tests.lab.scaled import apps, restore

# A drain that ended a request after 30 s would cut it; the application takes 60 s at most.
UPLOAD_SECONDS = 50


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


@contextmanager
def uploading(lab):
    """Give the future of an upload that has reached a server, and see that it succeeds."""
    photo, person = png(side=400), lab.person()
    bodies: list[Slowly] = []

    def slowly(body: bytes) -> Slowly:
        bodies.append(Slowly(body))
        return bodies[0]

    def under_way() -> bool:
        # The pages that come before it keep a server busy, too.
        return bool(bodies and bodies[0].tell() and busy(lab)) or answer.done()

    with ThreadPoolExecutor(1) as pool:
        answer: Future = pool.submit(person.upload, photo, 2 * UPLOAD_SECONDS, slowly)
        wait_for("the upload to reach a server", under_way)
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
