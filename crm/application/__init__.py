"""A small customer relationship application: customers, their photos and visits.

Several servers run it behind one proxy. They share the PostgreSQL database, the directory of
the photos and the secret key, and nothing else, so any of them can answer any request.
"""

import hashlib
import io
import logging
import socket
from datetime import timedelta
from pathlib import Path
from typing import IO

from flask import Flask, Request
from werkzeug.routing import IntegerConverter

from application import (
    accounts,
    api,
    customer_pages,
    errors,
    health,
    photos,
    security,
    visits,
)
from application.database import Database
from application.settings import Settings

SESSION_HOURS = 12


class IdConverter(IntegerConverter):
    """Numbers of rows in addresses: what fits a bigint; all else is a 404 before any query."""

    regex = r"[1-9][0-9]{0,17}"


class MemoryRequest(Request):
    """A request that keeps an upload in memory: it is small, and /tmp may be read-only."""

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        return io.BytesIO()


def _initials(name: str) -> str:
    words = name.split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


def create_app(settings: Settings) -> Flask:
    """Return the WSGI application; it connects to the database with its first request."""
    app = Flask(__name__)
    app.request_class = MemoryRequest
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SESSION_COOKIE_NAME="crm_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        # Else every answer, cached photos included, would carry a cookie.
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=timedelta(hours=SESSION_HOURS),
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(hours=1),
    )
    app.logger.setLevel(logging.INFO)
    app.url_map.converters["id"] = IdConverter
    uploads = photos.Uploads(settings.uploads)
    app.extensions["crm_database"] = Database(settings.database_url)
    app.extensions["crm_uploads"] = uploads
    app.extensions["crm_uploads_probe"] = health.UploadsProbe(uploads)
    security.install(app)
    errors.install(app)
    for module in (accounts, customer_pages, visits, photos, api, health):
        app.register_blueprint(module.pages)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters["initials"] = _initials
    stylesheet = Path(app.root_path, "static", "style.css").read_bytes()
    app.jinja_env.globals.update(
        server_name=socket.gethostname(),
        # In the stylesheet's address, so that a new release is not shown in the old one's style.
        style_version=hashlib.sha256(stylesheet).hexdigest()[:12],
    )
    return app
