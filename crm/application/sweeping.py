"""Removes files that no customer refers to: what a power cut leaves of an upload.

A photo is written before its customer is, and removed after. Only what is older than GRACE goes: a
database that was brought back to an earlier time may yet be taken forward again.
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

from flask import Flask

from application import photos
from application.database import Database
from application.photos import Uploads, UploadsUnavailable

GRACE = timedelta(days=7)
# How many files are held, and asked for, at a time.
BATCH = 1000
# Each worker at times of its own, so that they do not all read the directory at once.
SHORTEST, LONGEST = timedelta(minutes=10), timedelta(days=1)


def sweep(database: Database, uploads: Uploads) -> int:
    """Remove what no customer refers to and return how many files that were.

    Raises UploadsUnavailable or DatabaseUnavailable; what was removed until then had no customer.
    """
    removed = 0
    try:
        for paths in _batches(path for path in _files(uploads.directory) if _is_old(path)):
            with database.transaction() as cursor:
                used = photos.in_use(cursor, [path.name for path in paths])
            for path in paths:
                if path.name not in used:
                    removed += _remove(database, uploads, path)
    except OSError as error:
        raise UploadsUnavailable(str(error)) from error
    return removed


def _batches(paths: Iterator[Path]) -> Iterator[list[Path]]:
    while batch := list(islice(paths, BATCH)):
        yield batch


def _files(directory: Path) -> Iterator[Path]:
    """Yield the photos, and the files of which one was to become; nothing of anybody else's."""
    for below in os.scandir(directory):
        if len(below.name) == 2 and below.is_dir(follow_symlinks=False):
            for file in os.scandir(below):
                if photos.is_name(file.name) or file.name.startswith(photos.UNFINISHED):
                    yield Path(file.path)


def _is_old(path: Path) -> bool:
    try:
        return path.stat().st_mtime < time.time() - GRACE.total_seconds()
    except FileNotFoundError:
        return False


def _remove(database: Database, uploads: Uploads, path: Path) -> bool:
    if not photos.is_name(path.name):
        path.unlink(missing_ok=True)
        return True
    return photos.remove_unused(database, uploads, path.name)


def sweep_now_and_then(app: Flask) -> None:
    """Sweep in the background as long as the process lives, and log what was removed."""

    def work() -> None:
        while True:
            time.sleep(random.uniform(SHORTEST.total_seconds(), LONGEST.total_seconds()))
            try:
                if removed := sweep(app.extensions["crm_database"], app.extensions["crm_uploads"]):
                    app.logger.info("Removed %d files that no customer refers to", removed)
            except Exception:
                app.logger.exception("The files that no customer refers to are left for later")

    threading.Thread(target=work, name="sweep", daemon=True).start()
