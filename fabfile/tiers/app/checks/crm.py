"""The embedded CRM: a customer with a photo, entered through lb, is seen by every server.

Used with the account of the checks: what it makes is seen by nobody else, and it sees nothing else.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypedDict
from urllib.parse import urljoin

import requests

from fabfile.tiers.app.checks.browser import Browser, Files, png
from fabfile.verify.check import Check, Site, judged, together

NAME = re.compile(r"Verify [0-9a-f]{12}")
# Older than any verify that still runs.
LEFT_OVER = timedelta(minutes=5)
# Each log-out of another verify, which uses the same account, ends our session.
SESSIONS = 5


def checks(site: Site) -> list[Check]:
    """Use the application as a person would: each step is a check."""
    visitor = _Visitor(site)
    copies = ("every copy of the photo is on a storage server", visitor.read_copies)
    steps = (
        ("the account of the checks can log in", visitor.log_in),
        ("a customer with a photo can be entered", visitor.create),
        ("every server shows the customer", visitor.read_page),
        ("every server shows the photo", visitor.read_photo),
        *([copies] if site.scenario.tier("storage") else []),
        ("nothing is left after deleting it", visitor.delete),
        ("the session ends with the log-out", visitor.log_out),
    )
    # A later step runs even if an earlier one failed: what was made must go.
    return [judged(f"application: {sentence}", step) for sentence, step in steps]


class Customer(TypedDict):
    """A row of the list that the API gives, as far as it is read here."""

    id: int
    name: str
    created_at: str


class _Session(Browser):
    """A browser that logs in again when its session was ended by another verify."""

    def __init__(self, site: Site) -> None:
        super().__init__(site.scenario)
        self._scenario = site.scenario
        self._inside = False

    def log_in(self) -> str:
        """Log in; answer where that led to."""
        fields = {
            "login": self._scenario.checks_login,
            "password": self._scenario.secret("checks_password"),
            "csrf_token": _token(super().get("login")),
        }
        answer = super().post("login", fields)
        self._inside = not _outside(answer)
        return answer.url

    def get(self, path: str, *, redirected: bool = True) -> requests.Response:
        """Ask for a page as somebody who is logged in."""
        return self._kept(lambda: Browser.get(self, path, redirected=redirected))

    def send(
        self, path: str, form_page: str, data: dict[str, str], files: Files | None = None
    ) -> str:
        """Send a form with the token of the page it is on; answer where that leads to."""

        def sent() -> requests.Response:
            token = _token(Browser.get(self, form_page))
            # Not followed: a session that ends only then would have the form sent a second time.
            return self.post(path, {**data, "csrf_token": token}, files, redirected=False)

        return _target(self._kept(sent))

    def _kept(self, ask: Callable[[], requests.Response]) -> requests.Response:
        answer = ask()
        for _ in range(SESSIONS):
            if not (self._inside and _outside(answer)):
                break
            self.log_in()
            answer = ask()
        return answer

    def log_out(self) -> requests.Response:
        """Log out; answer what the customers' page says to who kept the cookie of the session."""
        kept = self.session.cookies.copy()
        self._inside = False
        self.send("logout", "customers", {})
        self.session.cookies = kept
        return self.get("customers")


class _Visitor:
    """A person with a browser, and the customer made in it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._browser = _Session(site)
        self._name = f"Verify {secrets.token_hex(6)}"
        self._picture = png()
        self._page = ""
        self._photo = ""

    def log_in(self) -> tuple[bool, str]:
        end = self._browser.log_in()
        removed = self._remove(self._left_over) if not end.endswith("/login") else 0
        seen = "it has customers of its own only"
        seen += f"; {removed} that a killed verify left were removed" if removed else ""
        return not end.endswith("/login"), seen

    def create(self) -> tuple[bool, str]:
        fields = {"name": self._name, "email": "verify@example.com", "phone": "", "company": ""}
        files = {"photo": ("verify.png", self._picture, "image/png")}
        url = self._browser.send("customers/new", "customers/new", {**fields, "notes": ""}, files)
        made = re.search(r"/(customers/\d+)$", url)
        if not made:
            return False, "the form came back"
        self._page = made[1]
        photo = re.search(r'<img[^>]*src="/([^"]*photo[^"]*)"', self._browser.get(self._page).text)
        self._photo = photo[1] if photo else ""
        return bool(photo), f"/{self._page}, {'with' if photo else 'without'} its photo"

    def read_page(self) -> tuple[bool, str]:
        return self._browser.everywhere(self._page, self._name.encode())

    def read_photo(self) -> tuple[bool, str]:
        return self._browser.everywhere(self._photo, self._picture)

    def read_copies(self) -> tuple[bool, str]:
        if not self._photo:
            return False, "there is none to look for"
        holders, wanted = self._holders(), self._site.scenario.replicas
        return len(holders) == wanted, f"{len(holders)} of {wanted}: {', '.join(holders) or 'none'}"

    def delete(self) -> tuple[bool, str]:
        made = bool(self._page)
        if made:
            self._browser.send(f"{self._page}/delete", self._page, {})
        # Also one whose entering had no answer.
        self._remove(lambda row, _now: row["name"] == self._name)
        if not made:
            return False, "there was none to delete"
        page = self._browser.get(self._page).status_code
        photo = self._browser.status_when_gone(self._photo)
        holders = self._holders()
        seen = f"page {page}, photo {photo}"
        if self._site.scenario.tier("storage"):
            seen += f", copies on {', '.join(holders) or 'no storage server'}"
        return page == photo == 404 and not holders, seen

    def log_out(self) -> tuple[bool, str]:
        outside = _outside(self._browser.log_out())
        self._browser.session.close()
        return outside, f"its cookie is {'worth nothing' if outside else 'still good'}"

    def _holders(self) -> list[str]:
        """Return the storage servers whose brick holds the photo."""
        name = self._photo.rpartition("/")[2]
        if not re.fullmatch(r"[0-9a-f]{64}\.\w+", name):
            return []
        uploads = f"{self._site.scenario.brick}/{self._site.scenario.application.name}"
        look = f"test -f {uploads}/{name[:2]}/{name} && echo found"
        servers = self._site.scenario.tier("storage")
        found = together(servers, lambda nas: "found" in self._site.run(nas.name, look))
        return [server for server, holds in found.items() if holds]

    @staticmethod
    def _left_over(row: Customer, now: datetime) -> bool:
        age = now - datetime.fromisoformat(row["created_at"])
        return bool(NAME.fullmatch(row["name"])) and age > LEFT_OVER

    def _remove(self, which: Callable[[Customer, datetime], bool]) -> int:
        """Remove the customers of the checks that are to go; answer how many were removed."""
        answer = self._browser.get("api/customers?q=Verify")
        if answer.status_code != 200:
            raise RuntimeError(f"the list of customers was answered with {answer.status_code}")
        now = parsedate_to_datetime(answer.headers["Date"])
        rows: list[Customer] = answer.json()["customers"]
        found = [row for row in rows if which(row, now)]
        for row in found:
            page = f"customers/{row['id']}"
            self._browser.send(f"{page}/delete", page, {})
        return len(found)


def _token(page: requests.Response) -> str:
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    if not token:
        raise RuntimeError(f"there is no form at {page.url}")
    return token[1]


def _outside(answer: requests.Response) -> bool:
    """Tell whether an answer is one to somebody who is not logged in."""
    return answer.status_code == 401 or "/login" in _target(answer)


def _target(answer: requests.Response) -> str:
    """Return where an answer leads to, which is itself if nowhere else."""
    return urljoin(answer.url, answer.headers.get("Location", ""))
