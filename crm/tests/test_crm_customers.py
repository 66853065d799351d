"""Customers and visits as pages."""

import pytest
from crm_browser import Browser


def test_a_customer_from_first_to_last(browser: Browser) -> None:
    path = browser.add("Ada", email="ada@example.org", phone="12", company="Acme", notes="a\r\nb")
    page = browser.get(path).text
    for text in ("Ada was added.", "ada@example.org", "Acme", "a\nb"):
        assert text in page
    assert 'value="ada@example.org"' in browser.get(path + "/edit").text
    assert browser.post(path + "/edit", name="Ada L.").status_code == 303
    page = browser.get(path).text
    assert "Ada L." in page and "Acme" not in page
    assert browser.post(path + "/delete").headers["Location"] == "/customers"
    assert browser.get(path).status_code == 404
    assert "No customers yet" in browser.get("/customers").text


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "  "},
        {"name": "x" * 201},
        {"name": "nul\0"},
        {"name": "Ada", "email": "no address"},
        {"name": "Ada", "notes": "x" * 10_001},
    ],
)
def test_bad_fields_are_shown_again(browser: Browser, fields: dict[str, str]) -> None:
    response = browser.post("/customers/new", **fields)
    assert response.status_code == 422 and "aria-invalid" in response.text
    assert "No customers yet" in browser.get("/customers").text


def test_search(browser: Browser) -> None:
    for name, company in (("Ada", "100% Wool"), ("Bob", "Wool_Works"), ("Cyd", "Steel")):
        browser.add(name, company=company)

    def found(query: str) -> str:
        text = browser.get(f"/customers?q={query}").text
        return "".join(name[0] for name in ("Ada", "Bob", "Cyd") if f">{name}<" in text)

    assert found("") == "ABC"
    assert found("wOOl") == "AB"
    assert found("%25") == "A"
    assert found("_") == "B"
    assert found("%5C") == ""
    assert "Nothing found" in browser.get("/customers?q=zzz").text


def test_pages_of_the_list(browser: Browser) -> None:
    for number in range(21):
        browser.add(f"Customer {number:02}")
    browser.get("/customers/new")
    first = browser.get("/customers?q=customer").text
    assert "Customer 19" in first and "Customer 20" not in first
    assert "/customers?q=customer&amp;page=2" in first
    assert "Customer 20" in browser.get("/customers?page=2").text
    assert "Page 2 of 2" in browser.get("/customers?page=99").text


def test_markup_is_shown_as_text(browser: Browser) -> None:
    page = browser.get(browser.add("<b>Bob</b>")).text
    assert "<b>Bob" not in page and "&lt;b&gt;Bob" in page


@pytest.mark.parametrize("page", ["0", "-1", "two", "9" * 30])
def test_bad_page_numbers(browser: Browser, page: str) -> None:
    assert browser.get(f"/customers?page={page}").status_code == 400


def test_a_search_for_nul(browser: Browser) -> None:
    assert browser.get("/customers?q=%00").status_code == 400


@pytest.mark.parametrize("number", ["0", "-1", "x", "999999", "9" * 18, "9" * 30, "1.5", "%00"])
def test_bad_customer_numbers(browser: Browser, number: str) -> None:
    assert browser.get(f"/customers/{number}").status_code == 404
    assert browser.get(f"/customers/{number}/edit").status_code == 404
    assert browser.post(f"/customers/{number}/delete").status_code == 404
    visit = {"date": "2024-01-31", "who": "Eve"}
    assert browser.post(f"/customers/{number}/visits", **visit).status_code == 404


def test_visits(browser: Browser) -> None:
    path = browser.add("Ada")
    assert "No visits yet" in browser.get(path).text
    added = browser.post(path + "/visits", date="2024-02-29", note="Tea\r\nCake", who="Eve")
    assert added.status_code == 303
    page = browser.get(path).text
    assert "2024-02-29" in page and "Tea\nCake" in page and "Eve" in page
    visit = page.partition(f"{path}/visits/")[2].partition("/")[0]
    assert 'value="2024-02-29"' in browser.get(f"{path}/visits/{visit}/edit").text
    change = {"date": "2024-03-01", "note": "", "who": "Zed"}
    assert browser.post(f"{path}/visits/{visit}/edit", **change).status_code == 303
    assert "Zed" in browser.get(path).text
    other = browser.add("Other")
    assert browser.get(f"{other}/visits/{visit}/edit").status_code == 404
    assert browser.post(f"{other}/visits/{visit}/edit", **change).status_code == 404
    assert browser.post(f"{other}/visits/{visit}/delete").status_code == 404
    assert browser.post(f"{path}/visits/{visit}/delete").status_code == 303
    assert "No visits yet" in browser.get(path).text


@pytest.mark.parametrize(
    "fields", [{"date": "31.1.2024", "who": "Eve"}, {"date": "2024-01-31", "who": ""}, {}]
)
def test_bad_visits(browser: Browser, fields: dict[str, str]) -> None:
    path = browser.add("Ada")
    response = browser.post(path + "/visits", note="kept", **fields)
    assert response.status_code == 422 and "kept" in response.text
    assert browser.post(path + "/visits", date="2024-01-31", who="Eve").status_code == 303


def test_headers_of_a_page(browser: Browser) -> None:
    headers = browser.get("/customers").headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


def test_unknown_pages_and_methods(browser: Browser) -> None:
    missing = browser.get("/nothing")
    assert missing.status_code == 404 and "<h1>There is nothing here" in missing.text
    assert browser.client.put("/customers").status_code in (400, 405)


def test_static_files_set_no_cookie(visitor: Browser) -> None:
    response = visitor.get("/static/style.css")
    assert response.status_code == 200 and "Set-Cookie" not in response.headers
