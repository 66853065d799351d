"""GET /health: what a proxy or a deployment asks to know whether this server can serve.

Answers 200, or 503 with the part that is broken, as JSON::

    {"status": "ok", "database": "ok", "uploads": "ok", "server": "web1"}

The answer always comes within a few seconds, needs no session and sets no cookie.
"""

import socket
import threading

from flask import Blueprint, current_app, jsonify
from werkzeug.wrappers import Response

from application.database import DatabaseUnavailable, current_database
from application.photos import Uploads, UploadsUnavailable

UPLOADS_LIMIT = 2.0

pages = Blueprint("health", __name__)


class UploadsProbe:
    """Asks whether the uploads directory is writable without waiting for it forever.

    A network file system that has lost its servers blocks even stat(2), beyond any signal. So a
    thread asks, and while one is stuck no further one is started.
    """

    def __init__(self, uploads: Uploads) -> None:
        """Remember the directory."""
        self._uploads = uploads
        self._busy = threading.Lock()

    def check(self) -> None:
        """Raise UploadsUnavailable when the directory is not writable or does not answer."""
        if not self._busy.acquire(timeout=UPLOADS_LIMIT):
            raise UploadsUnavailable("the uploads directory does not answer")
        failures: list[UploadsUnavailable] = []
        finished = threading.Event()

        def ask() -> None:
            try:
                self._uploads.check_writable()
            except UploadsUnavailable as error:
                failures.append(error)
            finally:
                self._busy.release()
                finished.set()

        threading.Thread(target=ask, name="uploads-probe", daemon=True).start()
        if not finished.wait(UPLOADS_LIMIT):
            raise UploadsUnavailable("the uploads directory does not answer")
        if failures:
            raise failures[0]


@pages.get("/health")
def health() -> tuple[Response, int]:
    """Answer whether the database and the uploads directory work."""
    parts = {"database": "ok", "uploads": "ok"}
    try:
        current_database().ping()
    except DatabaseUnavailable as error:
        current_app.logger.warning("Health: the database is unavailable: %s", error)
        parts["database"] = "unavailable"
    try:
        current_app.extensions["crm_uploads_probe"].check()
    except UploadsUnavailable as error:
        current_app.logger.warning("Health: the uploads directory is unavailable: %s", error)
        parts["uploads"] = "unavailable"
    good = all(state == "ok" for state in parts.values())
    status = "ok" if good else "unavailable"
    return jsonify(status=status, server=socket.gethostname(), **parts), 200 if good else 503
