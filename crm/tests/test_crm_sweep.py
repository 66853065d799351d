"""Files that no customer refers to: the old ones go, and nothing else does."""

import hashlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from application import photos, sweeping
from application.photos import Photo, Uploads
from crm_browser import PASSWORD_HASH, Browser
from crm_cluster import Cluster
from crm_samples import png
from flask import Flask
from manage import main

Files = Callable[[], list[str]]
OLD = time.time() - sweeping.GRACE.total_seconds() - 60
ORPHAN = "ab" * 32 + ".png"


@pytest.fixture
def orphan(uploads: Path) -> Path:
    """Return an old photo that no customer refers to."""
    Uploads(uploads).write(Photo(ORPHAN, b"a photo"))
    return aged(uploads / "ab" / ORPHAN)


def aged(path: Path) -> Path:
    os.utime(path, (OLD, OLD))
    return path


def sweep(app: Flask) -> int:
    return sweeping.sweep(app.extensions["crm_database"], app.extensions["crm_uploads"])


def test_what_a_power_cut_left_goes_when_it_is_old(
    app: Flask, uploads: Path, orphan: Path, files: Files
) -> None:
    aged_half = orphan.with_name(".new-x1y2")
    aged_half.touch()
    aged(aged_half)
    young = uploads / "cd" / ("cd" * 32 + ".jpg")
    Uploads(uploads).write(Photo(young.name, b"just written"))
    assert sweep(app) == 2
    assert files() == [young.name]


def test_of_many_files_few_are_held_at_a_time(
    app: Flask, browser: Browser, uploads: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, real = [], photos.in_use

    def in_use(cursor: object, names: list[str]) -> set[str]:
        asked.append(len(names))
        return real(cursor, names)

    monkeypatch.setattr(sweeping, "BATCH", 2)
    monkeypatch.setattr(photos, "in_use", in_use)
    browser.add("Ada", photo=png())
    kept = files()
    for number in range(10, 14):
        Uploads(uploads).write(Photo(f"{number}" * 32 + ".png", b"a photo"))
    for path in uploads.rglob("*.png"):
        aged(path)
    assert sweep(app) == 4
    assert (asked, files()) == ([2, 2, 1], kept)


def test_what_customers_refer_to_stays(
    app: Flask, browser: Browser, cluster: Cluster, uploads: Path, files: Files
) -> None:
    columns, values = "login, password_hash, for_checks", f"'c', '{PASSWORD_HASH}', true"
    cluster.execute(f"INSERT INTO users ({columns}) VALUES ({values})", "crm")
    checks = Browser(app)
    assert checks.log_in("c").status_code == 303
    browser.add("Ada", photo=png(shade=1))
    checks.add("Eve", photo=png(shade=2))
    for path in uploads.rglob("*.png"):
        aged(path)
    assert sweep(app) == 0
    assert len(files()) == 2


def test_what_is_no_photo_is_not_ours(app: Flask, uploads: Path, files: Files) -> None:
    for name in ("ab/notes.txt", "lost+found/" + ORPHAN, ORPHAN):
        path = uploads / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        aged(path)
    assert sweep(app) == 0
    assert len(files()) == 3


def test_the_command_says_what_it_did(
    migrated: str,
    app: Flask,
    uploads: Path,
    orphan: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environ = {"DATABASE_URL": migrated, "SECRET_KEY": "s" * 32, "UPLOADS": str(uploads)}
    assert main(["sweep"], environ) == 0
    assert capsys.readouterr().out == "Files without a customer that were removed: 1.\n"
    assert not orphan.exists()
    assert main(["sweep"], environ | {"UPLOADS": str(uploads / "gone")}) == 1
    assert capsys.readouterr().err.startswith("manage.py sweep: The uploads are unavailable: ")


def test_customers_whose_photo_is_gone_are_listed(
    migrated: str,
    app: Flask,
    browser: Browser,
    uploads: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environ = {"DATABASE_URL": migrated, "SECRET_KEY": "s" * 32, "UPLOADS": str(uploads)}
    for shade, name in enumerate(("Ada", "Eve")):
        browser.add(name, photo=png(shade=shade))
    assert main(["missing"], environ) == 0
    assert capsys.readouterr().out == ""
    (lost,) = uploads.rglob(f"{hashlib.sha256(png(shade=1)).hexdigest()}.png")
    lost.unlink()
    assert main(["missing"], environ) == 0
    assert re.fullmatch(rf"customer \d+ \(Eve\): {lost.name}\n", capsys.readouterr().out)
    # A directory that is gone would look as if all were.
    assert main(["missing"], environ | {"UPLOADS": str(uploads / "gone")}) == 1
