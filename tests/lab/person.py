"""A person who uses the embedded CRM."""

import io
import re
from collections.abc import Callable
from typing import IO
from urllib.parse import urljoin

import requests

LIMIT = 15  # seconds to connect, and for an answer
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Person:
    """Somebody who is logged in as the administrator."""

    def __init__(self, url: str, password: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy would not be the way of the users
        answer = self._post("/login", login="admin", password=password)
        assert "/login" not in answer.url, f"the log-in was answered with {answer.status_code}"

    @property
    def cookies(self) -> dict[str, str]:
        """What makes a request that of this person."""
        return self._session.cookies.get_dict()

    def get(self, path: str) -> requests.Response:
        """Return a page as it is answered."""
        return self._session.get(urljoin(self._url, path), timeout=LIMIT, allow_redirects=False)

    def token(self, path: str) -> str:
        """Return what a form on that page must be sent with."""
        return TOKEN.search(self.get(path).text)[1]

    def upload(
        self, photo: bytes, limit: float = LIMIT, line: Callable[[bytes], IO[bytes]] = io.BytesIO
    ) -> requests.Response:
        """Return the answer to a form with a photo, which is sent as `line` reads it."""
        form = {"csrf_token": self.token("/customers/new"), "name": "Slow"}
        files = {"photo": ("p.png", photo, "image/png")}
        request = requests.Request("POST", urljoin(self._url, "/customers/new"), {}, files, form)
        prepared = self._session.prepare_request(request)
        prepared.body = line(prepared.body)
        return self._session.send(prepared, timeout=limit, allow_redirects=False)

    def photo_of(self, path: str) -> bytes:
        """Return the photo that the page of a customer shows, and remove the customer."""
        shown = re.search(r'src="(/photos/[^"]+)"', self.get(path).text)[1]
        photo = self.get(shown).content
        self._post(path, f"{path}/delete")
        return photo

    def _post(self, page: str, to: str = "", **fields: str) -> requests.Response:
        form = {"csrf_token": self.token(page), **fields}
        answer = self._session.post(urljoin(self._url, to or page), form, timeout=LIMIT)
        answer.raise_for_status()
        return answer
