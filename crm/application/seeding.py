"""The first administrator and a few sample customers of a new installation."""

from collections.abc import Mapping

from application import accounts
from application.database import Database
from application.migrations import ADVISORY_LOCK
from application.settings import SettingsError, required

SAMPLES = (
    (
        "Ada Lindqvist",
        "ada@lindqvist.example",
        "+46 8 555 01 42",
        "Lindqvist Optics",
        "Prefers to be called in the morning.",
    ),
    ("Jonas Weber", "jonas.weber@weber-holz.example", "+49 711 555 0188", "Weber Holzbau", ""),
    (
        "Marisol Vega",
        "marisol@vegaygarcia.example",
        "+34 91 555 0170",
        "Vega y García",
        "Interested in the maintenance contract.",
    ),
)


def seed(database: Database, environ: Mapping[str, str]) -> str | None:
    """Fill an installation without users; return the new administrator's login.

    Returns None, and changes nothing, when there is a user already. Raises SettingsError when
    ADMIN_PASSWORD is needed and missing or too short, DatabaseUnavailable when the database is.
    """
    with database.transaction() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (ADVISORY_LOCK,))
        cursor.execute("SELECT EXISTS (SELECT FROM users) AS present")
        if cursor.fetchone()["present"]:
            return None
        login = accounts.normalised(environ.get("ADMIN_LOGIN") or "admin")
        problem = accounts.login_problem(login)
        if problem:
            raise SettingsError(f"ADMIN_LOGIN: {problem}")
        password = required(environ, "ADMIN_PASSWORD")
        problem = accounts.password_problem(password)
        if problem:
            raise SettingsError(f"ADMIN_PASSWORD: {problem}")
        cursor.execute(
            "INSERT INTO users (login, password_hash) VALUES (%s, %s)",
            (login, accounts.hashed(password)),
        )
        for sample in SAMPLES:
            cursor.execute(
                "INSERT INTO customers (name, email, phone, company, notes)"
                " VALUES (%s, %s, %s, %s, %s)",
                sample,
            )
    return login
