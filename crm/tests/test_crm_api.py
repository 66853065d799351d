"""The JSON API."""

from collections.abc import Callable

import pytest
from crm_browser import Browser
from crm_samples import png


def test_customers(browser: Browser) -> None:
    session = browser.client.get("/api/session").json
    assert session == {"login": "admin", "csrf_token": browser.token}
    created = browser.api("POST", "/api/customers", {"name": "Ada", "company": "Acme"})
    path = created.headers["Location"]
    assert created.status_code == 201 and created.json["company"] == "Acme"
    assert browser.client.get(path).json == created.json
    found = browser.client.get("/api/customers?q=acme").json
    assert (found["total"], found["customers"]) == (1, [created.json])
    assert browser.client.get("/api/customers?q=zzz").json["customers"] == []
    changed = browser.api("PUT", path, {"name": "Bob"}).json
    assert (changed["name"], changed["company"]) == ("Bob", "")
    assert browser.api("DELETE", path).status_code == 204
    assert browser.client.get(path).status_code == 404
    assert browser.api("DELETE", path).status_code == 404
    assert browser.api("PUT", path, {"name": "Bob"}).status_code == 404


def test_a_put_keeps_the_photo_and_a_delete_removes_it(
    browser: Browser, files: Callable[[], list[str]]
) -> None:
    path = "/api" + browser.add("Ada", photo=png())
    assert browser.api("PUT", path, {"name": "Ada L."}).json["photo"] == f"/photos/{files()[0]}"
    assert browser.api("DELETE", path).status_code == 204
    assert files() == []


def test_visits(browser: Browser) -> None:
    path = "/api" + browser.add("Ada") + "/visits"
    created = browser.api("POST", path, {"date": "2024-01-31", "who": "Eve", "note": "Tea"})
    assert created.status_code == 201 and created.json["note"] == "Tea"
    assert browser.client.get(path).json == {"visits": [created.json], "next": None}
    assert browser.api("POST", path, {"date": 5, "who": "Eve"}).json["fields"].keys() == {"date"}
    assert browser.client.get("/api/customers/999999/visits").status_code == 404
    other = browser.api("POST", "/api/customers/999999/visits", {"date": "2024-01-31", "who": "E"})
    assert other.status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"name": 5}, 422),
        ({"name": "\ud800"}, 422),
        ({"name": "nul\0"}, 422),
        ({"name": "Ada", "email": None}, 201),
        ([], 400),
        ("text", 400),
    ],
)
def test_bodies(browser: Browser, body: object, status: int) -> None:
    response = browser.api("POST", "/api/customers", body)
    assert response.status_code == status and response.is_json


def test_errors_are_json(browser: Browser, visitor: Browser) -> None:
    for path, status in (
        ("/api/customers/0", 404),
        ("/api/customers/x", 404),
        ("/api/nothing", 404),
        ("/api/customers?page=x", 400),
    ):
        response = browser.client.get(path)
        assert response.status_code == status and response.json["error"]
    stranger = visitor.client.get("/api/customers")
    assert stranger.status_code == 401 and stranger.json["error"]
    headers = {"X-CSRF-Token": browser.token, "Content-Type": "application/json"}
    broken = browser.client.post("/api/customers", data="{", headers=headers)
    assert broken.status_code == 400 and broken.json["error"]
