"""What is sent is read strictly: what cannot be read as it was meant is a 400, and never a 500."""

import pytest
from application import bodies, forms
from crm_browser import Browser
from crm_samples import png
from werkzeug.test import TestResponse, create_environ, run_wsgi_app

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
PART = b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\n'
END = b"\r\n--b--\r\n"


def sent(browser: Browser, path: str, kind: str, body: bytes) -> TestResponse:
    headers = {"X-CSRF-Token": browser.token, "Content-Type": kind}
    return browser.client.post(path, data=body, headers=headers)


@pytest.mark.parametrize("path", ["/customers/new", "/account", "/api/customers"])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", PART + b"Ada" + END),
        ("multipart/form-data; boundary=", PART + b"Ada" + END),
        ('multipart/form-data; boundary=""', b"----"),
        ("multipart/form-data; boundary=é", PART + b"Ada" + END),
        ("multipart/form-data; boundary=" + "b" * 71, b"--" + b"b" * 71 + b"--"),
        (MULTIPART, b"before the first part\r\n" + PART + b"Ada" + END),
        (MULTIPART, PART + b"Ada\xff" + END),
        (MULTIPART, PART + b"Ada"),
        (MULTIPART, PART + b"Ada" + END + PART),
        (MULTIPART, b"--b\r\n" + b"A: a\r\n" * 4000 + PART + b"Ada" + END),
        (MULTIPART, PART * (forms.FIELDS_MAXIMUM + 1) + END),
        (URLENCODED, b"name=Ada%ff"),
        (URLENCODED, b"name=Ada\xff"),
        (URLENCODED, b"name=Ada" + b"&a=" * forms.FIELDS_MAXIMUM),
    ],
)
def test_a_form_that_cannot_be_read(browser: Browser, path: str, kind: str, body: bytes) -> None:
    response = sent(browser, path, kind, body)
    assert response.status_code == 400
    assert response.is_json == path.startswith("/api")
    assert browser.get("/api/customers").json["total"] == 0


def test_a_charset_that_nobody_knows(browser: Browser) -> None:
    """One version of werkzeug reads it, another does not."""
    typed = PART.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain; charset=zz\r\n\r\n")
    named = PART.replace(b'name="name"', b"name*=zz''x")
    for part in (typed, named):
        response = sent(browser, "/customers/new", MULTIPART, part + b"Ada" + END)
        assert response.status_code in (303, 400, 422)
    kind = "multipart/form-data; boundary*=zz''b"
    assert sent(browser, "/customers/new", kind, PART + END).status_code in (400, 422)


def test_the_sign_for_what_cannot_be_read_may_be_typed(browser: Browser) -> None:
    assert "Ada \N{REPLACEMENT CHARACTER}" in browser.get(browser.add("Ada \ufffd")).text
    assert browser.add("Eve \ufffd", photo=png())


def test_only_the_photo_of_a_form_may_be_big(browser: Browser) -> None:
    big = "x" * (bodies.FORM_MAXIMUM + 1)
    response = browser.post("/customers/new", name="Ada", notes=big, photo=png())
    assert response.status_code == 413 and big not in response.text
    assert browser.post("/customers/new", name="Ada", other=big, photo=png()).status_code == 413
    body = b"name=Ada&notes=" + b"%" * bodies.FORM_MAXIMUM
    assert sent(browser, "/customers/new", URLENCODED, body).status_code == 413


@pytest.mark.parametrize("query", ["q=%ff", "q=\xff", "%ff=1", "a=&" * forms.FIELDS_MAXIMUM])
def test_a_query_that_cannot_be_read(browser: Browser, query: str) -> None:
    for path in ("/customers", "/api/customers", "/login", "/static/style.css"):
        given = {"QUERY_STRING": query}
        assert browser.client.get(path, environ_overrides=given).status_code == 400


@pytest.mark.parametrize("host", ["xn--\xff", "a..b", "..", "a" * 64 + ".b", "[::1", "a b", ""])
def test_a_host_that_is_none(visitor: Browser, host: str) -> None:
    for path in ("/login", "/customers", "/api/customers", "/static/style.css"):
        environ = create_environ(path) | {"HTTP_HOST": host}
        _, status, _ = run_wsgi_app(visitor.client.application, environ, buffered=True)
        assert status[:1] in "234"


@pytest.mark.parametrize("nested", ["[" * 100_000, '{"name":' * 20_000, '{"name":' + "[" * 99_999])
def test_json_that_is_nested_deeply(browser: Browser, nested: str) -> None:
    response = sent(browser, "/api/customers", "application/json", nested.encode())
    assert response.status_code == 400 and response.json["error"]


@pytest.mark.parametrize(
    "body", [b'{"name": "\xff"}', b'{"name": ' + b"9" * 9999 + b"}", b"\xff\xfe["]
)
def test_json_that_cannot_be_read(browser: Browser, body: bytes) -> None:
    response = sent(browser, "/api/customers", "application/json", body)
    assert response.status_code == 400 and response.json["error"]
