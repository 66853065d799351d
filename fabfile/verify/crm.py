"""The embedded CRM: a customer with a photo, entered through lb, is seen by every server."""

from __future__ import annotations

import re
import secrets

from fabfile.verify.browser import Browser, png
from fabfile.verify.check import Check, Site, judged


def checks(site: Site) -> list[Check]:
    """Use the application as a person would: each step is a check."""
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


class _Visitor:
    """A person with a browser: one session, and the customer made in it."""

    def __init__(self, site: Site) -> None:
        self._scenario = site.scenario
        self._browser = Browser(site.scenario)
        self._name = f"Verify {secrets.token_hex(6)}"
        self._picture = png()
        self._before = ""
        self._page = ""
        self._photo = ""

    def _post(self, path: str, form_page: str, data: dict[str, str], **more: object) -> str:
        token = re.search(r'name="csrf_token" value="([^"]+)"', self._browser.get(form_page).text)
        if not token:
            raise RuntimeError(f"there is no form at /{form_page}")
        return self._browser.post(path, {**data, "csrf_token": token[1]}, **more).url

    def _count(self) -> str:
        found = re.search(r'class="count">(\d+)', self._browser.get("customers").text)
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
        photo = re.search(r'<img[^>]*src="/([^"]*photo[^"]*)"', self._browser.get(self._page).text)
        self._photo = photo[1] if photo else ""
        return bool(photo), f"/{self._page}, {'with' if photo else 'without'} its photo"

    def read_page(self) -> tuple[bool, str]:
        return self._browser.everywhere(self._page, self._name.encode())

    def read_photo(self) -> tuple[bool, str]:
        return self._browser.everywhere(self._photo, self._picture)

    def delete(self) -> tuple[bool, str]:
        if not self._page:
            return False, "there was none to delete"
        self._post(f"{self._page}/delete", self._page, {})
        page = self._browser.get(self._page).status_code
        photo = self._browser.status_when_gone(self._photo)
        after = self._count()
        seen = f"page {page}, photo {photo}, {after} customers as before"
        if after != self._before:
            seen = f"page {page}, photo {photo}, {after} customers, {self._before} before"
        return page == photo == 404 and after == self._before, seen

    def log_out(self) -> tuple[bool, str]:
        self._post("logout", "customers", {})
        end = self._browser.get("customers").url
        self._browser.session.close()
        return "/login" in end, "the customers ask for a log-in again"
