"""CRM_2017: what is entered through lb is seen by every server, and its public accounts are closed.

It makes a row of its table of sessions for each visitor, and keeps rows of what was deleted: what
the checks leave of both is removed in the database.
"""

from __future__ import annotations

import re
import secrets
from urllib.parse import unquote

from fabfile.tiers.app.checks.browser import Browser, png
from fabfile.tiers.database import members
from fabfile.tiers.database.checks import CLUSTER
from fabfile.verify.check import Check, Site, judged

# Those of its seed, which everybody can read.
PUBLIC_LOGIN, PUBLIC_PASSWORD, PUBLIC_TOKEN = "admin2", "1234", "1234567890"
CUSTOMER = "cif address1 address2 postalCode city phone1 phone2 phone3 phone4 email1 email2 web"
USER = "phone1 phone2 email1 email2 notes"
# Whose turn it is, others decide, too, who ask at the same time: of three servers it is the same
# one again this often once in 6,000 times.
TURNS = 8


def checks(site: Site) -> list[Check]:
    """Use the application as a person would: each step is a check."""
    visitor = _Visitor(site)
    steps = (
        ("the public password and API token do not work", visitor.try_public),
        ("the administrator can log in", visitor.log_in),
        ("the API answers to the token that was made", visitor.use_api),
        ("a customer can be entered, and another server says so", visitor.create_customer),
        ("every server shows the customer", visitor.read_customer),
        ("a user with a photo can be entered", visitor.create_user),
        ("every server shows the photo", visitor.read_photo),
        ("a file can be attached to a post", visitor.create_post),
        ("every server shows the file", visitor.read_file),
        ("what was made can be deleted", visitor.delete),
        ("the session ends with the log-out", visitor.log_out),
        ("no row is left in the database", visitor.clean),
    )
    # A later step runs even if an earlier one failed: what was made must go.
    return [judged(f"application: {sentence}", step) for sentence, step in steps]


class _Visitor:
    """A person with a browser, and what was made in it."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._scenario = site.scenario
        self._browser = Browser(site.scenario)
        self._stranger = Browser(site.scenario)
        self._name = f"verify-{secrets.token_hex(6)}"
        self._picture, self._file = png(), png()
        self._customer = self._user = self._post = ""
        self._photo_url = self._file_url = ""

    def _log_in(self, browser: Browser, login: str, password: str) -> bool:
        answer = browser.post("session", {"login": login, "password": password})
        return 'id="loginname"' in answer.text

    def try_public(self) -> tuple[bool, str]:
        inside = self._log_in(self._stranger, PUBLIC_LOGIN, PUBLIC_PASSWORD)
        status = self._stranger.get(f"api/customers?token={PUBLIC_TOKEN}").status_code
        seen = f"{PUBLIC_LOGIN} with the seed's password is {'let in' if inside else 'refused'}"
        return not inside and status == 401, f"{seen}; the seed's token is answered with {status}"

    def log_in(self) -> tuple[bool, str]:
        login = self._scenario.application.administrator
        password = self._scenario.secret("administrator_password")
        return self._log_in(self._browser, login, password), f"as {login}"

    def use_api(self) -> tuple[bool, str]:
        token = self._scenario.secret("api_token")
        answer = self._browser.get(f"api/customers?token={token}")
        return answer.status_code == 200, f"it answers with {answer.status_code}"

    def create_customer(self) -> tuple[bool, str]:
        several = len(self._scenario.serving) > 1
        for _ in range(TURNS):
            told, by = self._enter_customer()
            if not told or by[0] != by[1] or not several:
                break
            self._delete_for_good(self._customer)
        ok = told and (by[0] != by[1] or not several)
        return ok, f"entered at {by[0]}, {'told' if told else 'not told'} by {by[1]}"

    def _enter_customer(self) -> tuple[bool, list[str]]:
        """Return whether it was told that a customer was made, and who made it and told so."""
        fields = dict.fromkeys(CUSTOMER.split(), "")
        fields |= {"code": self._name, "name": self._name, "notes": ""}
        answer = self._browser.post("customers", fields, redirected=False)
        made = re.search(r"/(customers/\d+)$", answer.headers.get("Location", ""))
        if not made:
            raise RuntimeError("the form came back")
        self._customer = made[1]
        page = self._browser.get(self._customer)
        told = "Cliente creado con éxito." in page.text
        return told, [each.headers.get("X-Served-By", "nobody") for each in (answer, page)]

    def read_customer(self) -> tuple[bool, str]:
        return self._browser.everywhere(self._customer, self._name.encode())

    def create_user(self) -> tuple[bool, str]:
        fields = dict.fromkeys(USER.split(), "")
        fields |= {"login": self._name, "fullname": self._name}
        fields["password"] = secrets.token_hex(16)
        files = {"photo": (f"{self._name}.png", self._picture, "image/png")}
        page = self._browser.post("users", fields, files=files)
        made = re.search(r"/(users/\d+)$", page.url)
        self._user = made[1] if made else ""
        return self._found("_photo_url", "src", page.text), f"/{self._user}"

    def read_photo(self) -> tuple[bool, str]:
        return self._browser.everywhere(self._photo_url, self._picture)

    def create_post(self) -> tuple[bool, str]:
        self._browser.post("posts", {"title": self._name, "body": self._name})
        page = self._browser.get("posts").text
        made = re.search(rf"href='/(posts/\d+)'[^>]*>\s*{self._name}", page)
        if not made:
            return False, "the list of posts does not show it"
        self._post = made[1]
        files = {"attachment": (f"{self._name}.png", self._file, "image/png")}
        self._browser.post(f"{self._post}/attachments", {}, files=files)
        return self._found(
            "_file_url", "href", self._browser.get(self._post).text
        ), f"/{self._post}"

    def _found(self, name: str, before: str, text: str) -> bool:
        # A post shows the photo of its author, too: an image, and no link.
        file = re.search(rf"""{before}=['"]/(uploads/[0-9a-f]{{64}})['"]""", text)
        setattr(self, name, file[1] if file else "")
        return bool(file)

    def read_file(self) -> tuple[bool, str]:
        return self._browser.everywhere(self._file_url, self._file)

    def _delete(self, path: str) -> None:
        self._browser.get(f"{path}?_method=DELETE", redirected=False)

    def _delete_for_good(self, path: str) -> None:
        self._delete(path)
        self._delete(f"trash/{path}")

    def delete(self) -> tuple[bool, str]:
        self._remove_files()
        for path in filter(None, (self._customer, self._user, self._post)):
            self._delete_for_good(path)
        photo, file = map(self._browser.status_when_gone, (self._photo_url, self._file_url))
        return photo == file == 404, f"photo {photo}, file {file}"

    def _remove_files(self) -> None:
        """Have the application remove its files: they go neither with a user nor with a post."""
        if self._user:
            # A user sent without a photo has none any more.
            fields = {**dict.fromkeys(USER.split(), ""), "fullname": self._name}
            self._browser.post(f"{self._user}?_method=PUT", fields, files={"no": ("", b"")})
        if self._post:
            page = self._browser.get(self._post).text
            for path in re.findall(r'href="/(posts/\d+/attachments/\d+)\?', page):
                self._delete(path)

    def log_out(self) -> tuple[bool, str]:
        self._delete("session")
        end = self._browser.get("customers").url
        return end.endswith("/session"), "the customers ask for a log-in again"

    def clean(self) -> tuple[bool, str]:
        sessions = [each for each in map(_session, (self._browser, self._stranger)) if each]
        kept = {
            "Sessions": f"sid IN ({', '.join(repr(each) for each in sessions) or 'NULL'})",
            "Attachments": f"filename = '{self._name}.png'",
        }
        gone = {
            "Customers": f"name = '{self._name}'",
            "Users": f"login = '{self._name}'",
            "Posts": f"title = '{self._name}'",
        }
        for browser in (self._browser, self._stranger):
            browser.session.close()
        ours = {**kept, **gone}
        statements = [f'DELETE FROM "{table}" WHERE {which};' for table, which in kept.items()]
        statements += [
            f'SELECT count(*) FROM "{table}" WHERE {which};' for table, which in ours.items()
        ]
        counts = self._query("\n".join(statements)).split()
        seen = ", ".join(f"{table} {n}" for table, n in zip(ours, counts, strict=False))
        return counts == ["0"] * len(ours), f"rows of ours: {seen}"

    def _query(self, sql: str) -> str:
        machine = members.seen(self._site).name
        name = self._scenario.application.database
        psql = f'psql --cluster "{CLUSTER}" -qXAt -v ON_ERROR_STOP=1 -d {name}'
        return self._site.run(machine, f"cd / && runuser -u postgres -- {psql} <<'SQL'\n{sql}\nSQL")


def _session(browser: Browser) -> str:
    """Return the key of a browser's row in the table of sessions: its cookie is s:KEY.SIGNATURE."""
    cookie = unquote(browser.session.cookies.get("connect.sid") or "")
    found = re.fullmatch(r"s:([\w-]+)\..*", cookie)
    return found[1] if found else ""
