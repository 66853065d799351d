"""Schema migrations: plain SQL files, each applied once, in the order of their numbers.

A file ``NNNN_name.sql`` runs in one transaction together with the row in ``schema_migrations``
that records it, so it is applied wholly or not at all. An advisory lock makes two runs at the
same time wait for each other. During a rolling deployment the previous release still runs on
the other servers, so a migration has to leave what that release uses in place.
"""

from pathlib import Path

import psycopg2

from application.database import DatabaseUnavailable, connect_for_maintenance

DIRECTORY = Path(__file__).resolve().parent.parent / "migrations"
# Any constant does; it only has to be the same in every release. These bytes spell "crm-".
ADVISORY_LOCK = 0x63726D2D


class MigrationError(Exception):
    """A migration failed; the message names the file and PostgreSQL's reason."""


def available(directory: Path = DIRECTORY) -> list[Path]:
    """Return the migration files in the order in which they apply."""
    return sorted(directory.glob("[0-9][0-9][0-9][0-9]_*.sql"))


def migrate(url: str, directory: Path = DIRECTORY) -> list[str]:
    """Apply the missing migrations and return their names.

    Raises MigrationError when one fails (those before it stay applied), DatabaseUnavailable
    when the server cannot be reached.
    """
    connection = connect_for_maintenance(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE IF NOT EXISTS schema_migrations ("
                "name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
            )
            cursor.execute("SELECT name FROM schema_migrations")
            present = {name for (name,) in cursor.fetchall()}
        missing = [path for path in available(directory) if path.stem not in present]
        for path in missing:
            _apply(connection, path)
        return [path.stem for path in missing]
    except psycopg2.OperationalError as error:
        raise DatabaseUnavailable(str(error).strip()) from error
    except psycopg2.Error as error:
        raise MigrationError(str(error).strip()) from error
    finally:
        # Ending the session releases the advisory lock, whatever happened before.
        connection.close()


def _apply(connection: psycopg2.extensions.connection, path: Path) -> None:
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(path.read_text(encoding="utf-8"))
            cursor.execute("INSERT INTO schema_migrations (name) VALUES (%s)", (path.stem,))
    except psycopg2.OperationalError:
        raise
    except psycopg2.Error as error:
        raise MigrationError(f"{path.name}: {str(error).strip()}") from error
