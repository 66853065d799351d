"""Photos: what is accepted, where it is stored, when it goes."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest
from application import customers, images, photos
from crm_browser import Browser
from crm_samples import jpeg, pixels, png, webp

Files = Callable[[], list[str]]

PICTURES = {
    "jpg": jpeg(),
    "png": png(),
    "webp": webp(),
}


@pytest.mark.parametrize("extension", PICTURES)
def test_a_photo_is_stored_served_and_removed(
    browser: Browser, uploads: Path, files: Files, extension: str
) -> None:
    data = PICTURES[extension]
    digest = hashlib.sha256(data).hexdigest()
    path = browser.add("Ada", photo=data)
    assert (uploads / digest[:2] / f"{digest}.{extension}").read_bytes() == data
    address = f"/photos/{digest}.{extension}"
    assert address in browser.get(path).text
    response = browser.client.get(address)
    assert response.data == data
    assert response.headers["Content-Type"] == images.MEDIA_TYPES[extension]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "immutable" in response.headers["Cache-Control"]
    assert "Set-Cookie" not in response.headers
    known = {"If-None-Match": response.headers["ETag"]}
    assert browser.client.get(address, headers=known).status_code == 304
    browser.post(path + "/delete")
    assert files() == []
    assert browser.client.get(address).status_code == 404


def test_strangers_see_no_photo(browser: Browser, visitor: Browser, files: Files) -> None:
    browser.add("Ada", photo=png())
    assert visitor.get(f"/photos/{files()[0]}").status_code == 303


def test_wrong_content_is_a_form_error(browser: Browser, files: Files) -> None:
    response = browser.post("/customers/new", name="Ada", photo=b"no picture at all")
    assert response.status_code == 422
    assert "The photo must be a JPEG, PNG or WebP picture." in response.text
    assert files() == [] and "No customers yet" in browser.get("/customers").text


def test_a_picture_of_too_many_pixels_is_a_form_error(browser: Browser, files: Files) -> None:
    response = browser.post("/customers/new", name="Ada", photo=pixels(png(), 20_000, 20_000))
    assert response.status_code == 422
    assert "at most 20 million pixels" in response.text and files() == []


@pytest.mark.parametrize("size", [photos.PHOTO_MAXIMUM + 1, 2 * photos.PHOTO_MAXIMUM])
def test_a_photo_too_big(browser: Browser, files: Files, size: int) -> None:
    response = browser.post("/customers/new", name="Ada", photo=png().ljust(size, b"\0"))
    assert response.status_code == 413
    assert photos.TOO_BIG in response.text and files() == []
    assert "No customers yet" in browser.get("/customers").text


def test_the_largest_photo_passes(browser: Browser) -> None:
    browser.add("Ada", photo=png().ljust(photos.PHOTO_MAXIMUM, b"\0"))


def test_a_body_of_unknown_length_is_refused(browser: Browser) -> None:
    response = browser.client.post("/customers/new", headers={"Transfer-Encoding": "chunked"})
    assert response.status_code == 411


def test_the_same_photo_twice_is_one_file(browser: Browser, files: Files) -> None:
    first, second = (browser.add(name, photo=png()) for name in ("Ada", "Bob"))
    assert len(files()) == 1
    browser.post(first + "/delete")
    assert len(files()) == 1
    browser.post(second + "/delete")
    assert files() == []


def test_changing_and_removing_a_photo(browser: Browser, files: Files) -> None:
    path = browser.add("Ada", photo=png(shade=1))
    (first,) = files()
    browser.post(path + "/edit", name="Ada")
    assert files() == [first]
    browser.post(path + "/edit", name="Ada", photo=png(shade=2))
    (second,) = files()
    assert second != first and second in browser.get(path).text
    browser.post(path + "/edit", name="Ada", remove_photo="1")
    assert files() == [] and "/photos/" not in browser.get(path).text


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fetc%2fpasswd",
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "a" * 64,
        "a" * 64 + ".svg",
        "a" * 64 + ".png%00",
        "a" * 64 + ".png%0a",
        "A" * 64 + ".png",
        "a" * 64 + ".png",
    ],
)
def test_other_names_are_not_found(browser: Browser, name: str) -> None:
    assert browser.get(f"/photos/{name}").status_code == 404


def test_without_the_directory_nothing_is_half_written(browser: Browser, uploads: Path) -> None:
    path = browser.add("Ada", photo=png())
    uploads.rename(uploads.with_name("away"))
    refused = [
        browser.post("/customers/new", name="Bob", photo=png(shade=9)),
        browser.post(path + "/edit", name="Eve", photo=png(shade=9)),
        browser.post(path + "/edit", name="Eve", remove_photo="1"),
        browser.post(path + "/delete"),
        browser.get(f"/photos/{'a' * 64}.png"),
    ]
    assert {response.status_code for response in refused} == {503}
    assert "Photos cannot be stored" in refused[0].text
    assert not uploads.exists()
    page = browser.get("/customers").text
    assert "Ada" in page and "Bob" not in page and "Eve" not in page
    assert browser.post("/customers/new", name="Without photo").status_code == 303
    shutil.move(uploads.with_name("away"), uploads)
    assert browser.post(path + "/delete").status_code == 303


def test_a_failing_insert_leaves_no_file(
    browser: Browser, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise psycopg2.OperationalError("lost")

    monkeypatch.setattr(customers, "asdict", fail)
    response = browser.post("/customers/new", name="Ada", photo=png())
    assert response.status_code == 503 and files() == []
