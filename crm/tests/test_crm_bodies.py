"""Bodies of requests: who may send how much, and how long it may take."""

import io
import socket

import pytest
from application import bodies, photos
from crm_browser import Browser
from crm_samples import png
from werkzeug.test import TestResponse


class Unread(io.RawIOBase):
    """A body that must not be asked for."""

    def readable(self) -> bool:
        """Tell that it could be."""
        return True

    def readinto(self, _: object) -> int:
        """Fail the test."""
        raise AssertionError("the body was read")


def send(
    browser: Browser, path: str, body: object, length: int, method: str = "POST", **more: object
) -> TestResponse:
    """Send a request whose body, a stream, is said to have that length."""
    given = {"wsgi.input": body, "CONTENT_LENGTH": str(length), **more}
    form = "application/x-www-form-urlencoded"
    return browser.client.open(path, method=method, content_type=form, environ_overrides=given)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/customers/new", 303),
        ("POST", "/customers/1/edit", 303),
        ("POST", "/logout", 303),
        ("POST", "/api/customers", 401),
        ("DELETE", "/api/customers/1", 401),
        ("POST", "/nothing/here", 404),
        ("POST", "/health", 405),
    ],
)
def test_no_body_of_a_stranger_is_awaited(
    visitor: Browser, method: str, path: str, status: int
) -> None:
    for length in (100, photos.PHOTO_MAXIMUM):
        assert send(visitor, path, Unread(), length, method).status_code == status


def test_a_log_in_takes_little(visitor: Browser) -> None:
    assert send(visitor, "/login", Unread(), bodies.STRANGERS_MAXIMUM + 1).status_code == 413
    # The largest one that can be right.
    name, password = "\N{WHITE SMILING FACE}" * 100, "€" * 500
    assert visitor.log_in(name, password).status_code == 401


@pytest.mark.parametrize("path", ["/logout", "/account", "/customers/1/delete", "/api/customers"])
def test_only_a_photo_may_be_big(browser: Browser, path: str) -> None:
    response = browser.client.post(path, data=bytes(bodies.FORM_MAXIMUM + 1))
    assert response.status_code == 413
    assert "256 kB" in (response.json["error"] if path.startswith("/api") else response.text)


def test_the_longest_notes_pass(browser: Browser) -> None:
    notes = "\N{GRINNING FACE}" * 10_000
    path = browser.add("Ada", notes=notes)
    assert browser.api("PUT", f"/api{path}", {"name": "Ada", "notes": notes}).status_code == 200


def test_half_a_form_is_not_taken(browser: Browser) -> None:
    path = browser.add("Ada")
    form = f"csrf_token={browser.token}&date=2024-01-01&who=Eve&note=half".encode()
    response = send(browser, f"{path}/visits", io.BytesIO(form), len(form) + 1)
    assert response.status_code == 408
    assert "Eve" not in browser.get(path).text


@pytest.mark.parametrize("path", ["/customers/new", "/nothing/here"])
def test_a_body_that_dribbles_ends(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(bodies, "USERS_SECONDS", 0.1)
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as stream:
        theirs.sendall(b"csrf_token=")
        response = send(browser, path, stream, 1000, **{"gunicorn.socket": ours})
    assert response.status_code == {"/customers/new": 408, "/nothing/here": 404}[path]


def test_the_answer_to_a_photo_too_big_follows_all_of_it(browser: Browser) -> None:
    body = io.BytesIO(png().ljust(3 * photos.PHOTO_MAXIMUM, b"\0"))
    length = len(body.getvalue())
    response = send(browser, "/customers/new", body, length)
    assert response.status_code == 413 and photos.TOO_BIG in response.text
    assert body.tell() == length
