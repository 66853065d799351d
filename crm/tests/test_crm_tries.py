"""Tries of passwords: few for a stranger, however many at once, and none fewer for others."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from application import accounts, tries
from crm_browser import PASSWORD, Browser
from crm_cluster import Cluster
from flask import Flask

FAILURES = "SELECT count(*) FROM login_failures"


def statuses(browser: Browser, *logins: tuple[str, str]) -> list[int]:
    return [browser.log_in(*login).status_code for login in logins]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no more patience than for two failures, and five of an address."""
    monkeypatch.setattr(tries, "LOGIN_MAXIMUM", 2)
    monkeypatch.setattr(tries, "ADDRESS_MAXIMUM", 5)


@pytest.mark.usefixtures("few")
def test_brute_force_is_slowed_down(visitor: Browser) -> None:
    assert statuses(visitor, *[("admin", "wrong")] * 3) == [401, 401, 429]
    assert statuses(visitor, ("ADMIN ", PASSWORD), ("other", PASSWORD)) == [429, 401]


@pytest.mark.usefixtures("few")
def test_a_stranger_locks_out_nobody_elsewhere(app: Flask, visitor: Browser) -> None:
    assert statuses(visitor, *[("admin", "wrong")] * 3)[-1] == 429
    assert statuses(Browser(app, "192.0.2.2"), ("admin", PASSWORD)) == [303]
    # What the owner does gives the stranger nothing back.
    assert statuses(visitor, ("admin", PASSWORD)) == [429]


@pytest.mark.usefixtures("few")
def test_one_address_tries_few_passwords_of_all_logins(app: Flask, visitor: Browser) -> None:
    some = [(f"login{number}", "wrong") for number in range(6)]
    assert statuses(visitor, *some) == [401] * 5 + [429]
    assert statuses(visitor, ("admin", PASSWORD)) == [429]
    assert statuses(Browser(app, "192.0.2.2"), ("admin", PASSWORD)) == [303]


@pytest.mark.usefixtures("few")
def test_a_success_takes_its_own_back_only(app: Flask, visitor: Browser, cluster: Cluster) -> None:
    assert statuses(visitor, ("other", "x"), ("admin", "x"), ("admin", PASSWORD)) == [401, 401, 303]
    assert cluster.execute("SELECT login, pending FROM login_failures", "crm") == [("other", False)]
    again = Browser(app)
    assert statuses(again, ("admin", "x"), ("admin", "x"), ("admin", "x")) == [401, 401, 429]


@pytest.mark.usefixtures("few")
def test_old_failures_are_forgotten(visitor: Browser, cluster: Cluster) -> None:
    statuses(visitor, *[("admin", "wrong")] * 2)
    cluster.execute("UPDATE login_failures SET failed_at = now() - interval '6 minutes'", "crm")
    assert statuses(visitor, ("other", "wrong")) == [401]
    assert cluster.execute(FAILURES, "crm") == [(1,)]


def at_once(
    app: Flask, count: int, password: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[int], int]:
    """Return the answers to so many log-ins at once, and how many passwords were looked at."""
    looked = []
    real = accounts.check_password_hash
    gate = threading.Barrier(count)

    def slow(*given: str) -> bool:
        looked.append(given)
        time.sleep(0.1)  # as long as a hash takes
        return real(*given)

    def log_in(browser: Browser) -> int:
        browser.get("/login")
        gate.wait(60)
        return browser.post("/login", login="admin", password=password).status_code

    monkeypatch.setattr(accounts, "check_password_hash", slow)
    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(log_in, [Browser(app) for _ in range(count)]))
    return answers, len(looked)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for as long as a computer that is busy takes."""
    monkeypatch.setattr(tries, "WAIT_SECONDS", 60)


@pytest.mark.usefixtures("patient")
def test_many_wrong_at_once_are_no_more_than_one_after_the_other(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, looked = at_once(app, 8, "wrong", monkeypatch)
    assert (Counter(answers), looked) == (Counter({401: 8}), 8)
    monkeypatch.setattr(tries, "LOGIN_MAXIMUM", 11)
    answers, looked = at_once(app, 8, "wrong", monkeypatch)
    assert (Counter(answers), looked) == (Counter({401: 3, 429: 5}), 3)


@pytest.mark.usefixtures("few", "patient")
def test_many_right_at_once_wait_for_each_other(
    app: Flask, monkeypatch: pytest.MonkeyPatch, cluster: Cluster
) -> None:
    assert at_once(app, 8, PASSWORD, monkeypatch) == ([303] * 8, 8)
    assert cluster.execute(FAILURES, "crm") == [(0,)]


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        # What a client has written stands before what the balancer has.
        ("198.51.100.1, 192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1:2::3", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "203.0.113.9"),
        ("nonsense\0", "203.0.113.9"),
        ("192.0.2.7,", "203.0.113.9"),
    ],
)
def test_who_asks(app: Flask, said: str, address: str) -> None:
    environ = {"HTTP_X_FORWARDED_FOR": said, "REMOTE_ADDR": "203.0.113.9"}
    with app.test_request_context("/", environ_overrides=environ):
        assert tries.client_address() == address


def test_without_any_address(app: Flask) -> None:
    with app.test_request_context("/", environ_overrides={"REMOTE_ADDR": ""}):
        assert tries.client_address() == "unknown"


def test_what_the_release_before_asks_is_answered(visitor: Browser, cluster: Cluster) -> None:
    statuses(visitor, ("admin", "wrong"))
    cluster.execute("INSERT INTO login_failures (login) VALUES ('admin')", "crm")
    counted = cluster.execute(
        "SELECT count(*) AS failures FROM login_failures"
        " WHERE login = 'admin' AND failed_at > now() - make_interval(mins => 5)",
        "crm",
    )
    assert counted == [(2,)]
    assert statuses(visitor, ("admin", PASSWORD)) == [303]
    cluster.execute("DELETE FROM login_failures WHERE login = 'admin'", "crm")
