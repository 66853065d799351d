"""The load of the lab tests sees what it is for: failures, and writes that are lost."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fabfile.engine.waiting import wait_until
from tests.lab.load import Load

FORM = b'<input name="csrf_token" value="t">'


class Site(ThreadingHTTPServer):
    """What the load needs of the CRM, with faults that can be switched on."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.faults = set()
        self.connections, self.cookies, self.photos = 0, set(), {}

    def process_request(self, *connection: object) -> None:
        self.connections += 1
        super().process_request(*connection)


class Page(BaseHTTPRequestHandler):
    """One request; every customer is called as the photo's form says."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Site

    def do_GET(self) -> None:
        faults, path = self.server.faults, self.path
        self.server.cookies.add((path, self.headers["Cookie"]))
        if path == "/customers" and "refused" in faults:
            self._answer(503)
        elif path == "/customers" and "cut off" in faults:
            self.close_connection = True
        elif path.startswith("/photos/"):
            self._answer(200, self.server.photos.get(path, b"another"))
        elif path in self.server.photos:
            photo = path.replace("/customers", "/photos").encode()
            self._answer(200, self.server.photos[path] + b' src="' + photo + b'"')
        else:
            self._answer(200, FORM, {"Set-Cookie": "session=none"} if path == "/login" else {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/login":
            self._answer(303, b"", {"Location": "/customers", "Set-Cookie": "session=admin"})
        elif self.path.endswith("/delete"):
            self._answer(303)
        else:
            name, photo = (part.split(b"\r\n\r\n", 1)[1] for part in _parts(body))
            path = f"/customers/{len(self.server.photos)}"
            self.server.photos[path] = name
            if "lost" not in self.server.faults:
                self.server.photos[path.replace("/customers", "/photos")] = photo
            self._answer(303, b"", {"Location": path})

    def _answer(self, status: int, body: bytes = b"", headers: dict | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _parts(body: bytes) -> list[bytes]:
    parts = body.split(body.split(b"\r\n")[0])
    return [part.strip(b"\r\n") for part in parts if b'"name"' in part or b'"photo"' in part]


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.05,))
        thread.start()
        yield site
        site.shutdown()
        thread.join()


def ran(site: Site, until: Callable[[Load], object], *faults: str, **clients: float) -> Load:
    """Return a load that ran with these faults until it had seen what it is for."""
    load = Load(site.url, "password", **{"interval": 0.01, "write_interval": 0.05, **clients})
    with load.running():
        site.faults.update(faults)
        assert wait_until(lambda _left: until(load), 15, 0.01), load.seen
    return load


def asked(load: Load) -> bool:
    return len(load.seen) > 20


def kinds(records: list[tuple]) -> set[str]:
    return {kind for kind, *_ in records}


def test_a_site_without_faults_answers_all(site: Site) -> None:
    every = {"read, kept", "read, new", "write"}
    paths = {"/customers", "/static/style.css"}
    load = ran(
        site,
        lambda load: (
            kinds(load.seen) == every and paths <= {path for path, _ in site.cookies.copy()}
        ),
    )
    assert load.errors == [] and load.written and load.lost() == []
    said = {cookie for path, cookie in site.cookies if path == "/customers"}
    assert said == {"session=admin"}
    assert {cookie for path, cookie in site.cookies if path == "/static/style.css"} == {None}


def test_connections_are_kept_or_new(site: Site) -> None:
    ran(site, asked, kept=3, new=0, writers=0)
    assert site.connections <= 3 + 1
    load = ran(site, asked, kept=0, new=3, writers=0)
    assert site.connections >= len(load.seen) > 10


@pytest.mark.parametrize(("fault", "what"), [("refused", "503"), ("cut off", "RemoteDisconnected")])
def test_failures_are_counted(site: Site, fault: str, what: str) -> None:
    both = {"read, kept", "read, new"}
    load = ran(site, lambda load: kinds(load.errors) == both, fault, writers=0)
    assert {error[1] for error in load.errors} == {what}


def test_a_write_that_is_lost_is_told(site: Site) -> None:
    load = ran(site, lambda load: load.written, "lost", kept=0, new=0)
    assert load.lost() == [path for path, _, _ in load.written] != []


def test_what_was_written_is_removed(site: Site) -> None:
    load = ran(site, lambda load: load.written, kept=0, new=0)
    load.clean()
    removed = [kind for kind, *_ in load.seen if kind == "clean"]
    assert len(removed) == len(load.written) > 0
