"""Two people who edit one record: the second is told, and loses nothing of what was typed."""

import html
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from crm_browser import Browser
from crm_cluster import Cluster
from crm_samples import png
from flask import Flask
from werkzeug.test import TestResponse

ADA = {"name": "Ada", "company": "Acme", "email": "", "phone": "1", "notes": "Tea\nCake"}


def form(response: TestResponse) -> dict[str, str]:
    """Return the fields of the form on a page, as a browser would send them."""
    main = response.text.partition("<main")[2]
    fields = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', main))
    fields |= re.findall(r'<textarea[^>]* name="(\w+)"[^>]*>\n([^<]*)</textarea>', main)
    for name in {"photo", "remove_photo"} & fields.keys():
        del fields[name]
    return {name: html.unescape(value) for name, value in fields.items()}


def told(response: TestResponse) -> dict[str, str]:
    """Return what a page says is there by now."""
    notice = response.text.partition('role="alert"')[2].partition("</section>")[0]
    assert "Somebody else has changed this" in notice
    rows = re.findall(r"<dt>([^<]*)</dt>\s*<dd[^>]*>([^<]*)</dd>", notice)
    return {name: html.unescape(value) for name, value in rows}


def test_the_second_of_two_is_told(browser: Browser) -> None:
    path = browser.add(**ADA)
    mine = form(browser.get(path + "/edit"))
    assert mine | ADA == mine
    theirs = {**mine, "phone": "2", "notes": "Tea", "company": ""}
    assert browser.client.post(path + "/edit", data=theirs).status_code == 303
    mine |= {"phone": "3", "name": "Ada L."}
    response = browser.client.post(path + "/edit", data=mine)
    assert response.status_code == 409
    assert told(response) == {"Phone": "2", "Notes": "Tea", "Company": "Nothing"}
    again = form(response)
    # What was typed is kept, and what was left alone is as it is by now.
    kept = {"name": "Ada L.", "phone": "3", "notes": "Tea", "company": ""}
    assert again | kept == again
    assert "Ada L." not in browser.get(path).text
    assert browser.client.post(path + "/edit", data=again).status_code == 303
    assert form(browser.get(path + "/edit")) | kept | {"seen": ""} == again | {"seen": ""}


def test_what_an_earlier_release_or_the_api_writes_counts_too(
    browser: Browser, cluster: Cluster
) -> None:
    path = browser.add(**ADA)
    mine = form(browser.get(path + "/edit"))
    cluster.execute("UPDATE customers SET notes = 'Coffee'", "crm")
    response = browser.client.post(path + "/edit", data=mine)
    assert (response.status_code, told(response)) == (409, {"Notes": "Coffee"})
    mine = form(response)
    browser.api("PUT", "/api" + path, {**ADA, "email": "a@b"})
    response = browser.client.post(path + "/edit", data=mine)
    assert (response.status_code, told(response)) == (409, {"Email": "a@b", "Notes": "Tea\nCake"})


def test_a_photo_counts_and_that_of_the_second_is_not_stored(browser: Browser, files) -> None:
    path = browser.add(**ADA)
    mine = form(browser.get(path + "/edit"))
    browser.post(path + "/edit", **ADA, photo=png(shade=1))
    response = browser.post(path + "/edit", **mine, photo=png(shade=2))
    assert (response.status_code, told(response)) == (409, {"Photo": "Another one"})
    assert len(files()) == 1
    mine = form(response) | {"remove_photo": "1", "name": "Bob"}
    browser.post(path + "/edit", **ADA | {"name": "Eve"})
    response = browser.client.post(path + "/edit", data=mine)
    assert (response.status_code, told(response)) == (409, {"Name": "Eve"})
    assert 'value="1" checked>' in response.text
    response = browser.client.post(path + "/edit", data=form(response) | {"remove_photo": "1"})
    assert response.status_code == 303 and files() == []


def test_a_form_with_mistakes_still_knows_what_was_seen(browser: Browser) -> None:
    path = browser.add(**ADA)
    mine = form(browser.get(path + "/edit"))
    browser.post(path + "/edit", **ADA | {"phone": "2"})
    wrong = browser.client.post(path + "/edit", data=mine | {"name": ""})
    assert wrong.status_code == 422
    assert browser.client.post(path + "/edit", data=form(wrong) | {"name": "A"}).status_code == 409


@pytest.mark.parametrize("seen", ["", "nonsense", "....." * 40])
def test_what_nobody_can_have_seen(browser: Browser, seen: str) -> None:
    path = browser.add(**ADA)
    assert browser.post(path + "/edit", **ADA, seen=seen).status_code == 409
    # A form that an earlier release has shown says nothing of it.
    assert browser.post(path + "/edit", **ADA).status_code == 303


def test_of_many_at_once_one_wins(app: Flask, browser: Browser) -> None:
    path = browser.add(**ADA)
    people = [Browser(app) for _ in range(4)]
    for person in people:
        person.log_in()
    forms = [form(person.get(path + "/edit")) for person in people]
    gate = threading.Barrier(len(people))

    def save(number: int) -> int:
        gate.wait(60)
        data = forms[number] | {"name": f"Ada {number}"}
        return people[number].client.post(path + "/edit", data=data).status_code

    with ThreadPoolExecutor(len(people)) as pool:
        assert sorted(pool.map(save, range(len(people)))) == [303, 409, 409, 409]


def test_visits(browser: Browser) -> None:
    path = browser.add(**ADA)
    browser.post(path + "/visits", date="2024-01-01", who="Eve", note="Tea")
    edit = re.search(rf"{path}/visits/\d+/edit", browser.get(path).text)[0]
    mine = form(browser.get(edit))
    assert browser.post(edit, date="2024-01-02", who="Eve", note="Cake").status_code == 303
    response = browser.client.post(edit, data=mine | {"note": "Pie"})
    assert (response.status_code, told(response)) == (409, {"Date": "2024-01-02", "Note": "Cake"})
    again = form(response)
    assert (again["date"], again["note"]) == ("2024-01-02", "Pie")
    assert browser.client.post(edit, data=again).status_code == 303


def test_the_api_refuses_what_was_changed_meanwhile(browser: Browser) -> None:
    created = browser.api("POST", "/api/customers", ADA)
    path, first = created.headers["Location"], created.headers["ETag"]
    assert browser.client.get(path).headers["ETag"] == first

    def call(method: str, match: str) -> TestResponse:
        headers = {"X-CSRF-Token": browser.token, "If-Match": match}
        return browser.client.open(path, method=method, json=ADA, headers=headers)

    second = call("PUT", first).headers["ETag"]
    assert second != first
    for match in (first, f"W/{second}", "", "nonsense", '"'):
        for method in ("PUT", "DELETE"):
            response = call(method, match)
            assert response.status_code == 412 and response.json["error"]
    assert call("PUT", f'"x", {second}').status_code == 200
    assert call("PUT", "*").status_code == 200
    assert browser.api("PUT", path, ADA).status_code == 200
    assert call("DELETE", browser.client.get(path).headers["ETag"]).status_code == 204
