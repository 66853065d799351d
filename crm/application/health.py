"""What a proxy or a deployment asks to know whether this server can serve.

GET /health answers 200, or 503 with the part that is broken, as JSON::

    {"status": "ok", "database": "ok", "uploads": "ok", "server": "web1"}

GET /alive answers 200 as long as the server answers at all. What is broken for all servers is best
said by the pages themselves: most of them need no photo.

The answer always comes within a few seconds, needs no session and sets no cookie.
"""

import socket
import threading
import time

from flask import Blueprint, current_app, jsonify
from werkzeug.wrappers import Response

from application.database import DatabaseUnavailable, current_database
from application.photos import Uploads, UploadsUnavailable

# How long an answer waits for the directory, and how long a directory that worked may be silent:
# when a server of GlusterFS falls silent, all access freezes for once to twice its ping-timeout of
# 5 s and goes on with the others. All servers freeze at once: none shall be out of service for it.
UPLOADS_LIMIT = 1.0
SILENCE_LIMIT = 10.0
SILENT = "the uploads directory does not answer"

pages = Blueprint("health", __name__)


class UploadsProbe:
    """Asks whether the uploads directory is writable without waiting for it forever.

    A network file system that has lost its servers blocks even stat(2), beyond any signal. So a
    thread asks, and while one is stuck no further one is started.
    """

    def __init__(self, uploads: Uploads) -> None:
        """Remember the directory."""
        self._uploads = uploads
        self._lock = threading.Lock()
        self._answered = threading.Event()
        self._answered.set()
        self._begun = 0.0
        self._failure: UploadsUnavailable | None = UploadsUnavailable(SILENT)

    def check(self) -> None:
        """Raise UploadsUnavailable when the directory is not writable or is silent for too long."""
        with self._lock:
            if self._answered.is_set():
                self._answered.clear()
                self._begun = time.monotonic()
                threading.Thread(target=self._ask, name="uploads-probe", daemon=True).start()
            begun = self._begun
        answered = self._answered.wait(UPLOADS_LIMIT)
        if not answered and time.monotonic() - begun >= SILENCE_LIMIT:
            raise UploadsUnavailable(SILENT)
        # Of a probe that is under way, what the one before it found.
        if failure := self._failure:
            raise failure

    def _ask(self) -> None:
        try:
            self._uploads.check_writable()
            self._failure = None
        except UploadsUnavailable as error:
            self._failure = error
        finally:
            self._answered.set()


@pages.get("/alive")
def alive() -> Response:
    """Return that this server answers."""
    return jsonify(status="ok", server=socket.gethostname())


@pages.get("/health")
def health() -> tuple[Response, int]:
    """Return whether the database and the uploads directory work."""
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
