"""The accounts that an installation gets: the first administrator, and the one of the checks."""

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
        cursor.execute("SELECT EXISTS (SELECT FROM users WHERE NOT for_checks) AS present")
        if cursor.fetchone()["present"]:
            return None
        login, password = _account(
            {**environ, "ADMIN_LOGIN": environ.get("ADMIN_LOGIN") or "admin"}, "ADMIN"
        )
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


def make_checks_account(database: Database, environ: Mapping[str, str]) -> None:
    """Make the account that automatic checks use, or give it the password that is named.

    It has customers of its own, and sees no others: see 0004_checks.sql. Raises SettingsError when
    CHECKS_LOGIN or CHECKS_PASSWORD is missing, too short or a person's.
    """
    login, password = _account(environ, "CHECKS")
    with database.transaction() as cursor:
        cursor.execute(
            "INSERT INTO users (login, password_hash, for_checks) VALUES (%s, %s, true)"
            " ON CONFLICT (login) DO UPDATE SET password_hash = excluded.password_hash,"
            " session_epoch = users.session_epoch + 1 WHERE users.for_checks",
            (login, accounts.hashed(password)),
        )
        if cursor.rowcount == 0:
            raise SettingsError("CHECKS_LOGIN is the login of a person.")


def _account(environ: Mapping[str, str], prefix: str) -> tuple[str, str]:
    """Return login and password of the variables with a prefix; raise SettingsError if wrong."""
    login = accounts.normalised(required(environ, f"{prefix}_LOGIN"))
    password = required(environ, f"{prefix}_PASSWORD")
    for name, problem in (
        ("LOGIN", accounts.login_problem(login)),
        ("PASSWORD", accounts.password_problem(password)),
    ):
        if problem:
            raise SettingsError(f"{prefix}_{name}: {problem}")
    return login, password
