"""A person who uses the embedded CRM."""

import io
import re
from collections.abc import Callable
from typing import IO
from urllib.parse import urljoin

import requests

TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Person:
    """Somebody who is logged in."""

    def __init__(self, lab) -> None:
        self._url = lab.scenario.url
        self._session = requests.Session()
        self._session.trust_env = False
        form = {"login": "admin", "password": lab.scenario.secret("administrator_password")}
        self._post("/login", **form)

    def get(self, path: str) -> requests.Response:
        """Return a page as it is answered."""
        return self._session.get(urljoin(self._url, path), timeout=15, allow_redirects=False)

    def _token(self, path: str) -> str:
        return TOKEN.search(self._session.get(urljoin(self._url, path), timeout=15).text)[1]

    def _post(self, path: str, **form: str) -> None:
        form["csrf_token"] = self._token(path)
        self._session.post(urljoin(self._url, path), form, timeout=15).raise_for_status()

    def upload(
        self, photo: bytes, limit: float = 15, line: Callable[[bytes], IO[bytes]] = io.BytesIO
    ) -> requests.Response:
        """Return the answer to a form with a photo, which is sent as `line` reads it."""
        form = {"csrf_token": self._token("/customers/new"), "name": "Slow"}
        files = {"photo": ("p.png", photo, "image/png")}
        request = requests.Request("POST", urljoin(self._url, "/customers/new"), {}, files, form)
        prepared = self._session.prepare_request(request)
        prepared.body = line(prepared.body)
        return self._session.send(prepared, timeout=limit, allow_redirects=False)

    def photo_of(self, path: str) -> bytes:
        """Return the photo that the page of a customer shows, and remove the customer."""
        page = self._session.get(urljoin(self._url, path), timeout=15).text
        shown = re.search(r'src="(/photos/[^"]+)"', page)[1]
        photo = self._session.get(urljoin(self._url, shown), timeout=15).content
        token = TOKEN.search(page)[1]
        self._session.post(urljoin(self._url, f"{path}/delete"), {"csrf_token": token}, timeout=15)
        return photo
