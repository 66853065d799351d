"""Logging in and out, sessions on several servers, CSRF tokens."""

from collections.abc import Callable

import pytest
from application import accounts, tries
from crm_browser import PASSWORD, Browser
from flask import Flask


def test_root_is_the_login_page_for_strangers(visitor: Browser, browser: Browser) -> None:
    response = visitor.get("/")
    assert response.status_code == 200 and "Log in" in response.text
    assert browser.get("/").headers["Location"] == "/customers"


def test_log_in_and_out(visitor: Browser) -> None:
    assert visitor.get("/customers").headers["Location"].startswith("/login?next=")
    response = visitor.log_in(" ADMIN ")
    assert (response.status_code, response.headers["Location"]) == (303, "/customers")
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
    assert visitor.get("/customers").status_code == 200
    assert visitor.post("/logout").status_code == 303
    assert visitor.get("/customers").status_code == 303


def test_the_cookie_is_secure_behind_tls(visitor: Browser) -> None:
    response = visitor.client.get("/login", base_url="https://localhost")
    assert "Secure" in response.headers["Set-Cookie"]


def test_wrong_password_and_unknown_login_look_the_same(visitor: Browser) -> None:
    known = visitor.log_in("admin", "wrong")
    unknown = visitor.log_in("nobody", "wrong")
    assert known.status_code == unknown.status_code == 401
    assert known.text.replace("admin", "nobody") == unknown.text
    assert visitor.log_in("nul\0", "x" * 2000).status_code == 401


def test_logging_out_ends_copies_of_the_cookie(app: Flask, browser: Browser) -> None:
    copy = Browser(app)
    copy.log_in()
    browser.post("/logout")
    assert copy.get("/customers").status_code == 303


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/customers/new", "/customers/new"),
        ("//evil.example/", "/customers"),
        ("/\\evil.example", "/customers"),
        ("https://evil.example/", "/customers"),
    ],
)
def test_logging_in_leads_back_on_this_site_only(
    visitor: Browser, target: str, location: str
) -> None:
    visitor.get("/login")
    response = visitor.post("/login", login="admin", password=PASSWORD, next=target)
    assert response.headers["Location"] == location


def test_password_change_ends_other_sessions(
    app: Flask, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "HASH_METHOD", "pbkdf2:sha256:1")
    other = Browser(app)
    other.log_in()
    wrong = {"password": "wrong", "new_password": "x", "repeated": "y"}
    assert browser.post("/account", **wrong).status_code == 422
    right = {"password": PASSWORD, "new_password": "new secret", "repeated": "new secret"}
    assert browser.post("/account", **right).status_code == 303
    assert browser.get("/account").status_code == 200
    assert other.get("/account").status_code == 303
    assert other.log_in(password="new secret").status_code == 303


def test_the_present_password_is_not_guessed(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "LOGIN_MAXIMUM", 2)
    new = {"new_password": "new secret", "repeated": "new secret"}
    guesses = [browser.post("/account", password=guess, **new) for guess in ("a", "b", PASSWORD)]
    assert [guess.status_code for guess in guesses] == [422, 422, 429]
    assert "Too many failed attempts" in guesses[-1].text


def test_every_server_accepts_the_same_session_and_token(
    app: Flask, migrated: str, make_app: Callable[[str], Flask]
) -> None:
    first, second = app, make_app(migrated)
    browser = Browser(first)
    browser.get("/login")

    def switch(app: Flask) -> None:
        browser.client.application = app

    switch(second)
    assert browser.post("/login", login="admin", password=PASSWORD).status_code == 303
    switch(first)
    browser.get("/customers/new")
    switch(second)
    path = browser.add("Shared")
    switch(first)
    assert "Shared" in browser.get(path).text


@pytest.mark.parametrize("token", ["", "wrong", "é"])
def test_writing_without_the_token_is_refused(browser: Browser, token: str) -> None:
    path = browser.add("Ada")
    good, browser.token = browser.token, token
    refused = [
        browser.post("/customers/new", name="Eve"),
        browser.post(path + "/edit", name="Eve"),
        browser.post(path + "/delete"),
        browser.post(path + "/visits", date="2024-01-01", who="Eve"),
        browser.post("/logout"),
        browser.client.put("/api" + path, json={"name": "Eve"}),
        browser.client.delete("/api" + path),
    ]
    assert {response.status_code for response in refused} == {400}
    browser.token = good
    assert "Eve" not in browser.get("/customers").text


def test_a_log_in_needs_a_token_too(visitor: Browser) -> None:
    assert visitor.post("/login", login="admin", password=PASSWORD).status_code == 400


def test_a_forged_cookie_is_worth_nothing(visitor: Browser) -> None:
    forger = visitor.client.application.test_client(use_cookies=False)
    headers = {"Cookie": "crm_session=eyJ1c2VyIjoxfQ.aaaa.bbbb"}
    assert forger.get("/customers", headers=headers).status_code == 303
