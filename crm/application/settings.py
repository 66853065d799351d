"""Settings: what the environment says, checked once at the start.

The application is configured by the environment only (https://12factor.net/config):

``DATABASE_URL``  postgresql://user:password@host/database
``SECRET_KEY``    at least 32 characters, the same on every server
``UPLOADS``       absolute path of the photo directory, shared by every server
``PORT``          the TCP port gunicorn listens on

No message in this module ever repeats the value of a variable, since two of them are secrets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
from psycopg2.extensions import parse_dsn

SECRET_KEY_MINIMUM = 32


class SettingsError(Exception):
    """A variable is missing or malformed; the message is one sentence for the operator."""


@dataclass(frozen=True)
class Settings:
    """The checked configuration of one server process."""

    database_url: str = field(repr=False)
    secret_key: str = field(repr=False)
    uploads: Path


def required(environ: Mapping[str, str], name: str) -> str:
    """Return a variable's value; raise SettingsError when it is absent or empty."""
    value = environ.get(name, "")
    if not value:
        raise SettingsError(f"The environment variable {name} is not set.")
    return value


def database_url(environ: Mapping[str, str]) -> str:
    """Return DATABASE_URL; raise SettingsError unless libpq accepts it and it names a database."""
    url = required(environ, "DATABASE_URL")
    problem = "DATABASE_URL is not of the form postgresql://user:password@host/database."
    if not url.startswith(("postgresql://", "postgres://")):
        raise SettingsError(problem)
    try:
        parts = parse_dsn(url)
    except psycopg2.Error:
        # libpq's own message quotes the address with its password, so it is not chained.
        raise SettingsError(problem) from None
    ports = parts.get("port", "5432").split(",")
    if not parts.get("dbname") or not all(number.isdigit() for number in ports):
        raise SettingsError(problem)
    return url


def port(environ: Mapping[str, str]) -> int:
    """Return PORT as a number; raise SettingsError when it is not a TCP port."""
    text = required(environ, "PORT")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise SettingsError("PORT is not a number between 1 and 65535.")
    return int(text)


def load(environ: Mapping[str, str]) -> Settings:
    """Return the settings of the web application.

    Raises SettingsError with one sentence naming the first variable that is missing or malformed.
    """
    url = database_url(environ)
    secret_key = required(environ, "SECRET_KEY")
    if len(secret_key) < SECRET_KEY_MINIMUM:
        raise SettingsError(f"SECRET_KEY is shorter than {SECRET_KEY_MINIMUM} characters.")
    uploads = Path(required(environ, "UPLOADS"))
    if not uploads.is_absolute():
        raise SettingsError("UPLOADS is not an absolute path.")
    return Settings(database_url=url, secret_key=secret_key, uploads=uploads)
