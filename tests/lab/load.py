"""A steady, bounded load of requests by several clients, and what became of each."""

import hashlib
import random
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urljoin

import requests

from fabfile.tiers.app.checks.browser import png
from tests.lab.person import Person

LIMIT = 12  # seconds to connect, and for an answer
PAGES = ("/login", "/customers", "/static/style.css")


class Load:
    """Clients that ask, and what they saw.

    So many threads read on kept connections, read on new ones, and write; the intervals are the
    seconds from one request of a thread to its next.
    """

    def __init__(
        self,
        url: str,
        password: str,
        kept: int = 4,
        new: int = 4,
        writers: int = 1,
        interval: float = 0.25,
        write_interval: float = 0.5,
    ) -> None:
        self._url, self._password = url, password
        self._clients = [
            *[("read, kept", True, interval, self._read)] * kept,
            *[("read, new", False, interval, self._read)] * new,
            *[("write", True, write_interval, self._write)] * writers,
        ]
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._begin = time.monotonic()
        self._cookies: dict[str, str] = {}
        self._token = ""
        self.seconds = 0.0
        self.seen: list[tuple] = []  # (kind, seconds since the beginning, seconds it took, server)
        self.errors: list[tuple] = []  # (kind, what, seconds since the beginning, how long)
        self.written: list[tuple] = []  # (path, name, sha256 of the photo)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have the clients ask during the block."""
        person = Person(self._url, self._password)
        self._token, self._cookies = person.token("/customers/new"), person.cookies
        self._begin = time.monotonic()
        with ThreadPoolExecutor(len(self._clients)) as pool:
            clients = [pool.submit(self._work, *client) for client in self._clients]
            try:
                yield
            finally:
                self._stop.set()
        self.seconds = time.monotonic() - self._begin
        for client in clients:
            client.result()

    def lost(self) -> list[str]:
        """Return the acknowledged writes that cannot be read back as they were written."""
        client, lost = _session(), []
        for path, name, digest in self.written:
            page = self._ask(client, "read back", path, cookies=self._cookies)
            shown = page and re.search(r'src="(/photos/[^"]+)"', page.text)
            photo = shown and self._ask(client, "read back", shown[1], cookies=self._cookies)
            intact = photo and hashlib.sha256(photo.content).hexdigest() == digest
            if not intact or name not in page.text:
                lost.append(path)
        return lost

    def clean(self) -> None:
        """Remove what was written."""
        client = _session()
        for path, _, _ in self.written:
            self._send(client, "clean", f"{path}/delete", {})

    def _work(self, kind: str, keep: bool, interval: float, action: Callable) -> None:
        with _session() as client:
            due = time.monotonic() + random.random() * interval
            while not self._stop.wait(max(0, due - time.monotonic())):
                action(client, kind)
                if not keep:
                    client.close()
                # What a slow answer delays is not made up for: the rate is an upper limit.
                due = max(due + interval, time.monotonic())

    def _read(self, client: requests.Session, kind: str) -> None:
        path = random.choice(PAGES)
        self._ask(client, kind, path, cookies=self._cookies if path == "/customers" else None)

    def _write(self, client: requests.Session, kind: str) -> None:
        name, photo = f"Load {secrets.token_hex(6)}", png()
        fields = {"name": name, "email": "", "phone": "", "company": "", "notes": ""}
        files = {"photo": ("p.png", photo, "image/png")}
        answer = self._send(client, kind, "/customers/new", fields, files=files)
        if answer is not None:
            digest = hashlib.sha256(photo).hexdigest()
            with self._lock:
                self.written.append((answer.headers["Location"], name, digest))

    def _send(
        self, client: requests.Session, kind: str, path: str, fields: dict, **more: object
    ) -> requests.Response | None:
        form = {"csrf_token": self._token, **fields}
        return self._ask(client, kind, path, "POST", 303, data=form, cookies=self._cookies, **more)

    def _ask(
        self,
        client: requests.Session,
        kind: str,
        path: str,
        method: str = "GET",
        good: int = 200,
        **more: object,
    ) -> requests.Response | None:
        """Ask, and note what came of it; return None on any failure."""
        options = {"timeout": LIMIT, "allow_redirects": False, **more}
        begin = time.monotonic()
        try:
            answer = client.request(method, urljoin(self._url, path), **options)
            what = str(answer.status_code)
        except requests.RequestException as error:
            what = _cause(error)
        now = time.monotonic()
        with self._lock:
            if what == str(good):
                server = answer.headers.get("X-Served-By", "")
                self.seen.append((kind, begin - self._begin, now - begin, server))
                return answer
            self.errors.append((kind, what, begin - self._begin, now - begin))
        return None


def _session() -> requests.Session:
    """Return a client, for one thread."""
    session = requests.Session()
    session.trust_env = False  # a proxy would not be the way of the users
    # A request has the cookies that are given with it, and none of an answer before.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    return session


def _cause(error: BaseException) -> str:
    """Return the kind of failure that the exceptions of the libraries are about."""
    while error.__context__:
        error = error.__context__
    return type(error).__name__
