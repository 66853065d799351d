"""The account of the checks: it works as any other, and neither sees nor is seen by anybody."""

from pathlib import Path

import pytest
from application import accounts
from crm_browser import PASSWORD, PASSWORD_HASH, Browser
from crm_cluster import Cluster
from crm_samples import png
from flask import Flask
from manage import main

ADD = f"INSERT INTO users (login, password_hash, for_checks) VALUES ('c', '{PASSWORD_HASH}', true)"


@pytest.fixture
def checks(app: Flask, cluster: Cluster) -> Browser:
    """Return a visitor who is logged in with the account of the checks."""
    cluster.execute(ADD, "crm")
    browser = Browser(app)
    assert browser.log_in("c").status_code == 303
    return browser


def everything(browser: Browser, path: str) -> list[int]:
    """Return what becomes of all that can be asked about a customer."""
    day = {"date": "2024-01-01", "who": "Eve"}
    return [
        browser.get(path).status_code,
        browser.get(f"{path}/edit").status_code,
        browser.post(f"{path}/edit", name="Eve").status_code,
        browser.post(f"{path}/visits", **day).status_code,
        browser.get(f"{path}/visits/1/edit").status_code,
        browser.post(f"{path}/visits/1/delete").status_code,
        browser.get(f"/api{path}").status_code,
        browser.api("PUT", f"/api{path}", {"name": "Eve"}).status_code,
        browser.api("GET", f"/api{path}/visits").status_code,
        browser.api("POST", f"/api{path}/visits", day).status_code,
        browser.api("DELETE", f"/api{path}").status_code,
        browser.post(f"{path}/delete").status_code,
    ]


def test_neither_sees_the_customers_of_the_other(browser: Browser, checks: Browser) -> None:
    for mine, other in ((browser, checks), (checks, browser)):
        path = mine.add("Ada", photo=png())
        assert set(everything(other, path)) == {404}
        assert other.get("/api/customers").json["total"] == 0
        assert other.get("/customers?q=Ada").text.count("Ada</strong>") == 0
        assert mine.get("/api/customers?q=ada").json["total"] == 1
        mine.post(f"{path}/visits", date="2024-01-01", who="Ada")
        assert len(mine.get(f"/api{path}/visits").json["visits"]) == 1
        assert mine.post(f"{path}/delete").status_code == 303
        assert mine.get("/api/customers").json["total"] == 0


def test_a_visit_by_its_number_is_hidden_too(
    browser: Browser, checks: Browser, cluster: Cluster
) -> None:
    path = browser.add("Ada")
    browser.post(f"{path}/visits", date="2024-01-01", who="Ada")
    ((number,),) = cluster.execute("SELECT max(id) FROM visits", "crm")
    assert checks.get(f"{path}/visits/{number}/edit").status_code == 404
    form = {"date": "2024-01-01", "who": "Eve"}
    assert checks.post(f"{path}/visits/{number}/edit", **form).status_code == 404
    assert checks.post(f"{path}/visits/{number}/delete").status_code == 404
    assert cluster.execute("SELECT who FROM visits", "crm") == [("Ada",)]


def test_it_sees_photos_of_its_own_only(browser: Browser, checks: Browser, files: Path) -> None:
    browser.add("Ada", photo=png(shade=1))
    (photo,) = files()
    assert browser.client.get(f"/photos/{photo}").status_code == 200
    assert checks.client.get(f"/photos/{photo}").status_code == 404
    # The same picture, sent by the checks: what others refer to stays when theirs goes.
    path = checks.add("Copy", photo=png(shade=1))
    assert checks.client.get(f"/photos/{photo}").status_code == 200
    checks.post(f"{path}/delete")
    assert checks.client.get(f"/photos/{photo}").status_code == 404
    assert browser.client.get(f"/photos/{photo}").status_code == 200
    path = checks.add("Own", photo=png(shade=2))
    assert len(files()) == 2
    checks.post(f"{path}/delete")
    assert files() == [photo]


def test_it_has_no_account_page(checks: Browser) -> None:
    assert checks.get("/account").status_code == 403
    new = {"password": PASSWORD, "new_password": "new secret", "repeated": "new secret"}
    assert checks.post("/account", **new).status_code == 403


def test_its_log_out_ends_no_session_of_others(browser: Browser, checks: Browser) -> None:
    assert checks.post("/logout").status_code == 303
    assert checks.get("/customers").status_code == 303
    assert browser.get("/customers").status_code == 200


def test_making_the_account(
    cluster: Cluster,
    empty_database: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accounts, "HASH_METHOD", "pbkdf2:sha256:1")
    database = empty_database.partition("?")[0].rpartition("/")[2]
    rows = "SELECT login, for_checks, session_epoch FROM users ORDER BY id"
    environ = {"DATABASE_URL": empty_database, "CHECKS_LOGIN": "Checks-1"}
    main(["migrate"], environ)
    assert main(["checks-account"], environ) == 1
    assert "CHECKS_PASSWORD is not set" in capsys.readouterr().err
    environ["CHECKS_PASSWORD"] = "long enough"
    for epoch in (0, 1):
        assert main(["checks-account"], environ) == 0
        assert cluster.execute(rows, database) == [("checks-1", True, epoch)]
    # It is no administrator: the first one is still to be made.
    assert main(["seed"], environ | {"ADMIN_PASSWORD": "hush-hush"}) == 0
    assert cluster.execute(rows, database) == [("checks-1", True, 1), ("admin", False, 0)]
    assert main(["checks-account"], environ | {"CHECKS_LOGIN": "admin"}) == 1
    said = capsys.readouterr()
    assert "CHECKS_LOGIN is the login of a person" in said.err
    assert "hush" not in said.out + said.err and "long enough" not in said.out + said.err
