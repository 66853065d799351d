"""Application: a customer with a photo, entered through the balancer, is seen by every server."""

from __future__ import annotations

import re
import secrets
import struct
import time
import zlib
from urllib.parse import urljoin

import requests

from fabfile.verify.check import Check, Site, judged
from fabfile.waiting import wait_until

LIMIT = 5
SEEN_SECONDS = 10
GONE_SECONDS = 3


def checks(site: Site) -> list[Check]:
    """Use the application as a person would, if it is the one whose forms we know."""
    name = site.scenario.application.name
    if name != "crm":
        seen = f"there are no form checks for {name}"
        return [Check("application: its forms work on every server", True, seen)]
    visitor = _Visitor(site)
    steps = (
        ("the administrator can log in", visitor.log_in),
        ("a customer with a photo can be entered", visitor.create),
        ("every server shows the customer", visitor.read_page),
        ("every server shows the photo", visitor.read_photo),
        ("nothing is left after deleting it", visitor.delete),
        ("the session ends with the log-out", visitor.log_out),
    )
    # A later step runs even if an earlier one failed: what was made must go.
    return [judged(f"application: {sentence}", step) for sentence, step in steps]


def _png() -> bytes:
    """Answer a picture like no other: photos are kept by their content, one file for equals."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + secrets.token_bytes(24) for _ in range(8))
    header = chunk(b"IHDR", struct.pack("!IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


class _Visitor:
    """A person with a browser: one session, and the customer made in it."""

    def __init__(self, site: Site) -> None:
        self._scenario = site.scenario
        self._servers = {machine.name for machine in site.scenario.serving}
        self._browser = requests.Session()
        self._browser.trust_env = False  # a proxy would not be the way of the users
        self._name = f"Verify {secrets.token_hex(6)}"
        self._picture = _png()
        self._before = ""
        self._page = ""
        self._photo = ""

    def _get(self, path: str) -> requests.Response:
        return self._browser.get(urljoin(self._scenario.url, path), timeout=LIMIT)

    def _post(self, path: str, form_page: str, data: dict[str, str], **more: object) -> str:
        page = self._get(form_page).text
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)
        if not token:
            raise RuntimeError(f"there is no form at /{form_page}")
        answer = self._browser.post(
            urljoin(self._scenario.url, path),
            data={**data, "csrf_token": token[1]},
            timeout=LIMIT,
            **more,
        )
        if answer.status_code != 200:
            raise RuntimeError(f"POST /{path} was answered with {answer.status_code}")
        return answer.url

    def _count(self) -> str:
        found = re.search(r'class="count">(\d+)', self._get("customers").text)
        if not found:
            raise RuntimeError("the list of customers shows no count")
        return found[1]

    def log_in(self) -> tuple[bool, str]:
        password = self._scenario.secret("administrator_password")
        end = self._post("login", "login", {"login": "admin", "password": password})
        self._before = self._count()
        return not end.endswith("/login"), f"as admin; {self._before} customers are there"

    def create(self) -> tuple[bool, str]:
        fields = {"name": self._name, "email": "verify@example.com", "phone": "", "company": ""}
        files = {"photo": ("verify.png", self._picture, "image/png")}
        url = self._post("customers/new", "customers/new", {**fields, "notes": ""}, files=files)
        made = re.search(r"/(customers/\d+)$", url)
        if not made:
            return False, "the form came back"
        self._page = made[1]
        photo = re.search(r'<img[^>]*src="/([^"]*photo[^"]*)"', self._get(self._page).text)
        self._photo = photo[1] if photo else ""
        return bool(photo), f"/{self._page}, {'with' if photo else 'without'} its photo"

    def _everywhere(self, path: str, content: bytes) -> tuple[bool, str]:
        if not path:
            return False, "there is none to read"
        right: set[str] = set()
        wrong: set[str] = set()
        deadline = time.monotonic() + SEEN_SECONDS
        while self._servers - right - wrong and time.monotonic() < deadline:
            answer = self._get(path)
            good = answer.status_code == 200 and content in answer.content
            (right if good else wrong).add(answer.headers.get("X-Served-By", "an unknown server"))
        never = self._servers - right - wrong
        seen = f"read from {', '.join(sorted(right)) or 'none'}"
        seen += f"; not there on {', '.join(sorted(wrong))}" if wrong else ""
        seen += f"; never answered: {', '.join(sorted(never))}" if never else ""
        return not wrong and not never, seen

    def read_page(self) -> tuple[bool, str]:
        return self._everywhere(self._page, self._name.encode())

    def read_photo(self) -> tuple[bool, str]:
        return self._everywhere(self._photo, self._picture)

    def _photo_status(self) -> int:
        status = 404

        def gone(_left: float) -> bool:
            nonlocal status
            status = self._get(self._photo).status_code if self._photo else 404
            return status == 404

        # A server may show for a moment what another removed: the volume's clients cache.
        wait_until(gone, GONE_SECONDS, 0.2)
        return status

    def delete(self) -> tuple[bool, str]:
        if not self._page:
            return False, "there was none to delete"
        self._post(f"{self._page}/delete", self._page, {})
        page = self._get(self._page).status_code
        photo = self._photo_status()
        after = self._count()
        seen = f"page {page}, photo {photo}, {after} customers as before"
        if after != self._before:
            seen = f"page {page}, photo {photo}, {after} customers, {self._before} before"
        return page == photo == 404 and after == self._before, seen

    def log_out(self) -> tuple[bool, str]:
        self._post("logout", "customers", {})
        end = self._get("customers").url
        self._browser.close()
        return "/login" in end, "the customers ask for a log-in again"
