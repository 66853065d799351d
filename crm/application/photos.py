"""Photos: files on the shared directory, each stored once under the SHA-256 of its content.

The file is made durable under a temporary name and then renamed, so that no server ever reads
half a photo. Which customers refer to a file is known to the database only; the advisory lock
of ``locked`` orders "write the file, add a reference" and "no reference left, remove the file"
across all servers.
"""

import hashlib
import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from flask import Blueprint, Response, abort, current_app, g, request, send_file
from psycopg2.extras import RealDictCursor
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge

from application import images
from application.database import Database, current_database

PHOTO_MAXIMUM = 5 * 1024 * 1024
TOO_BIG = "A photo may have at most 5 MB."
_NAME = re.compile(r"[0-9a-f]{64}\.(?:jpg|png|webp)")
UNFINISHED = ".new-"
# For whom: the checks have customers of their own, see 0004_checks.sql.
_EVERYBODY = ("on", "off")

pages = Blueprint("photos", __name__)


class UploadsUnavailable(Exception):
    """The uploads directory cannot be read or written."""


@dataclass(frozen=True)
class Photo:
    """An uploaded photo whose content has been checked."""

    name: str
    data: bytes = field(repr=False)


class Uploads:
    """The directory of the photos."""

    def __init__(self, directory: Path) -> None:
        """Remember the directory, which has to exist when it is used."""
        self.directory = directory

    def path(self, name: str) -> Path:
        """Return where a photo is stored; raise ValueError unless the name is hash and type."""
        if not is_name(name):
            raise ValueError("not the name of a photo")
        return self.directory / name[:2] / name

    def check_writable(self) -> None:
        """Create and remove a tiny file; raise UploadsUnavailable when that is impossible."""
        try:
            os.stat(self.directory)
            descriptor, temporary = tempfile.mkstemp(prefix=".probe-", dir=self.directory)
            os.close(descriptor)
            os.unlink(temporary)
        except OSError as error:
            raise UploadsUnavailable(str(error)) from error

    def write(self, photo: Photo) -> None:
        """Store a photo durably unless it is there already; raise UploadsUnavailable if not."""
        target = self.path(photo.name)
        try:
            if target.is_file() and target.stat().st_size == len(photo.data):
                return
            # Not with parents: a missing uploads directory is a mount that failed, and creating
            # it would scatter the photos over the servers' own disks.
            with suppress(FileExistsError):
                target.parent.mkdir(mode=0o750)
            descriptor, temporary = tempfile.mkstemp(prefix=UNFINISHED, dir=target.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    os.fchmod(descriptor, 0o640)
                    file.write(photo.data)
                    file.flush()
                    os.fsync(descriptor)
                os.rename(temporary, target)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
            _fsync_directory(target.parent)
        except OSError as error:
            raise UploadsUnavailable(str(error)) from error

    def remove(self, name: str) -> None:
        """Remove a photo if it is there; raise UploadsUnavailable when that is impossible."""
        try:
            self.path(name).unlink(missing_ok=True)
        except OSError as error:
            raise UploadsUnavailable(str(error)) from error


def _fsync_directory(directory: Path) -> None:
    """Make a rename durable, which fsync of the file alone does not (fsync(2), DESCRIPTION)."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_name(name: str) -> bool:
    """Tell whether a file of that name can be a photo."""
    return bool(_NAME.fullmatch(name))


def received(upload: FileStorage | None) -> Photo | None:
    """Return the photo of a form, None when none was chosen.

    Raises images.NotAnImage on the wrong content and RequestEntityTooLarge on too much of it.
    """
    if upload is None:
        return None
    data = upload.stream.read(PHOTO_MAXIMUM + 1)
    if not data and not upload.filename:
        return None
    if len(data) > PHOTO_MAXIMUM:
        raise RequestEntityTooLarge(TOO_BIG)
    extension = images.inspect(data).extension
    return Photo(name=f"{hashlib.sha256(data).hexdigest()}.{extension}", data=data)


def lock(cursor: RealDictCursor, name: str) -> None:
    """Keep other servers from adding or dropping references to a photo in this transaction."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (int(name[:15], 16),))


def discard_unused(database: Database, uploads: Uploads, name: str) -> None:
    """Remove a photo's file unless a customer refers to it.

    Only logs a failure: the caller's change is committed or failed for a reason of its own, and
    all that remains is a file too many.
    """
    try:
        remove_unused(database, uploads, name)
    except Exception:
        current_app.logger.exception("The unused photo %s could not be removed", name)


def remove_unused(database: Database, uploads: Uploads, name: str) -> bool:
    """Remove a photo's file unless a customer refers to it; return whether it is gone now.

    Raises UploadsUnavailable or DatabaseUnavailable.
    """
    with database.transaction() as cursor:
        lock(cursor, name)
        # Whoever asks: the customers of the checks and all others share the files.
        if any(_used(cursor, name, by_checks) for by_checks in _EVERYBODY):
            return False
        uploads.remove(name)
        return True


def in_use(cursor: RealDictCursor, names: list[str]) -> set[str]:
    """Return those of the photos that customers refer to, those of the checks among them."""
    used = set()
    for by_checks in _EVERYBODY:
        _ask_as(cursor, by_checks)
        cursor.execute("SELECT photo FROM customers WHERE photo = ANY(%s)", (names,))
        used |= {row["photo"] for row in cursor.fetchall()}
    return used


def missing(database: Database, uploads: Uploads) -> list[tuple[int, str, str]]:
    """Return id and name of the customers whose photo has no file, and the name of that.

    Raises DatabaseUnavailable, and UploadsUnavailable where no file can be seen.
    """
    rows = []
    with database.transaction() as cursor:
        for by_checks in _EVERYBODY:
            _ask_as(cursor, by_checks)
            cursor.execute("SELECT id, name, photo FROM customers WHERE photo IS NOT NULL")
            rows += cursor.fetchall()
    try:
        os.stat(uploads.directory)
        lost = [row for row in rows if not uploads.path(row["photo"]).exists()]
    except OSError as error:
        raise UploadsUnavailable(str(error)) from error
    return sorted((row["id"], row["name"], row["photo"]) for row in lost)


def _ask_as(cursor: RealDictCursor, by_checks: str) -> None:
    cursor.execute("SELECT set_config('crm.for_checks', %s, true)", (by_checks,))


def _used(cursor: RealDictCursor, name: str, by_checks: str) -> bool:
    _ask_as(cursor, by_checks)
    cursor.execute("SELECT EXISTS (SELECT FROM customers WHERE photo = %s) AS used", (name,))
    return cursor.fetchone()["used"]


def current_uploads() -> Uploads:
    """Return the uploads directory of the running application."""
    return current_app.extensions["crm_uploads"]


@pages.get("/photos/<name>")
def show(name: str) -> Response:
    """Return a photo to a logged-in user; its name is its content's hash, so it never changes."""
    try:
        path = current_uploads().path(name)
    except ValueError:
        abort(404)
    if g.user["for_checks"]:
        with current_database().transaction() as cursor:
            if not _used(cursor, name, "on"):
                abort(404)
    try:
        file = path.open("rb")
    except (FileNotFoundError, IsADirectoryError):
        # Without the directory itself every photo would look deleted, and proxies believe a 404.
        if not current_uploads().directory.is_dir():
            raise UploadsUnavailable("the uploads directory is missing") from None
        abort(404)
    except OSError as error:
        raise UploadsUnavailable(str(error)) from error
    response = send_file(file, mimetype=images.MEDIA_TYPES[path.suffix[1:]])
    response.content_length = os.fstat(file.fileno()).st_size
    response.set_etag(path.stem)
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    return response.make_conditional(request)
