"""PostgreSQL access: a small connection pool that never hangs and survives a restart.

Every wait for the server has a limit on the client's side. The server-side
``statement_timeout`` alone would not do: a machine that lost its power, or a process that is
stopped, enforces nothing. psycopg2 allows this through a wait callback, see
https://www.psycopg.org/docs/advanced.html#support-for-coroutine-libraries
"""

import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2
import psycopg2.errors
import psycopg2.extensions
from flask import current_app, g, has_request_context
from psycopg2.extras import RealDictCursor
from psycopg2.pool import PoolError, ThreadedConnectionPool

CONNECT_LIMIT = 2.0
# Less than one such wait: after a server that was silent no second connection is tried, while
# connections that a restart has closed fail at once and are all replaced in time.
CHECKOUT_LIMIT = 1.5
# How long a pooler may hold what it is asked while another database takes over.
HELD_LIMIT = 6.0
STATEMENT_LIMIT = 4.0
# Longer than the server's limit, so that normally the server cancels and reports first.
ANSWER_LIMIT = 5.0
IDLE_CONNECTIONS = 4
MAXIMUM_CONNECTIONS = 8

_LOST = (
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    # A demoted primary still answers, but only the new primary can serve this application.
    psycopg2.errors.ReadOnlySqlTransaction,
)

TablesMissing = psycopg2.errors.UndefinedTable


class DatabaseUnavailable(Exception):
    """The database cannot be reached or did not answer in time."""


class BoundedConnection(psycopg2.extensions.connection):
    """A connection whose every wait is limited to ``answer_limit`` seconds (None: no limit)."""

    answer_limit: float | None = CONNECT_LIMIT


def _wait(connection: psycopg2.extensions.connection) -> None:
    limit = getattr(connection, "answer_limit", None)
    deadline = None if limit is None else time.monotonic() + limit
    while True:
        state = connection.poll()
        if state == psycopg2.extensions.POLL_OK:
            return
        reading = state == psycopg2.extensions.POLL_READ
        poller = select.poll()
        poller.register(connection.fileno(), select.POLLIN if reading else select.POLLOUT)
        remaining = None if deadline is None else (deadline - time.monotonic()) * 1000
        if remaining is not None and (remaining <= 0 or not poller.poll(remaining)):
            raise psycopg2.OperationalError("the database server did not answer in time")
        if remaining is None:
            poller.poll()


psycopg2.extensions.set_wait_callback(_wait)


def connect_for_maintenance(url: str) -> BoundedConnection:
    """Return a connection for migrations: connecting is limited in time, statements are not.

    Raises DatabaseUnavailable when the server cannot be reached.
    """
    try:
        connection = psycopg2.connect(url, connection_factory=BoundedConnection)
    except psycopg2.OperationalError as error:
        raise DatabaseUnavailable(_reason(error)) from error
    connection.answer_limit = None
    return connection


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _by_checks() -> bool:
    """Tell whether the account of the checks asks, which has rows of its own: 0004_checks.sql."""
    user = g.get("user") if has_request_context() else None
    return bool(user and user["for_checks"])


class Database:
    """A thread-safe pool of connections, opened on first use and thus after gunicorn's fork."""

    def __init__(self, url: str) -> None:
        """Remember the address; nothing is connected yet."""
        self._url = url
        self._lock = threading.Lock()
        self._pool: ThreadedConnectionPool | None = None

    def _current_pool(self) -> ThreadedConnectionPool:
        with self._lock:
            if self._pool is None:
                # Built with a minimum of zero because the constructor connects that often under
                # the lock; the attribute afterwards is how many idle connections are kept.
                self._pool = ThreadedConnectionPool(
                    0,
                    MAXIMUM_CONNECTIONS,
                    self._url,
                    connection_factory=BoundedConnection,
                    cursor_factory=RealDictCursor,
                    application_name="crm",
                )
                self._pool.minconn = IDLE_CONNECTIONS
            return self._pool

    def _checkout(self, pool: ThreadedConnectionPool) -> BoundedConnection:
        """Return a connection that has just answered, discarding those a restart has broken.

        The probe precedes every statement of the caller, so trying again is always safe.
        """
        deadline = time.monotonic() + CHECKOUT_LIMIT
        error: BaseException = PoolError("no attempt was made")
        for _ in range(MAXIMUM_CONNECTIONS + 1):
            try:
                connection = pool.getconn()
            except (psycopg2.OperationalError, PoolError) as failure:
                raise DatabaseUnavailable(_reason(failure)) from failure
            try:
                connection.answer_limit = HELD_LIMIT
                with connection.cursor() as cursor:
                    cursor.execute(
                        "SET LOCAL statement_timeout = %s; SET LOCAL crm.for_checks = %s",
                        (int(STATEMENT_LIMIT * 1000), "on" if _by_checks() else "off"),
                    )
                connection.answer_limit = ANSWER_LIMIT
                return connection
            except _LOST as failure:
                pool.putconn(connection, close=True)
                error = failure
            except BaseException:
                pool.putconn(connection, close=True)
                raise
            if time.monotonic() > deadline:
                break
        raise DatabaseUnavailable(_reason(error)) from error

    @contextmanager
    def transaction(self) -> Iterator[RealDictCursor]:
        """Give a cursor (rows as dictionaries); commit at the end, roll back on an exception.

        Raises DatabaseUnavailable when the server is unreachable, was lost in the middle, or
        took longer than the limits above.
        """
        pool = self._current_pool()
        connection = self._checkout(pool)
        usable = False
        try:
            with connection.cursor() as cursor:
                yield cursor
            connection.commit()
            usable = True
        except _LOST as error:
            raise DatabaseUnavailable(_reason(error)) from error
        except BaseException:
            with suppress(psycopg2.Error):
                connection.rollback()
                usable = True
            raise
        finally:
            pool.putconn(connection, close=not usable)

    def ping(self) -> None:
        """Ask the server for one constant; raise DatabaseUnavailable when it does not answer."""
        with self.transaction() as cursor:
            cursor.execute("SELECT 1")

    def close(self) -> None:
        """Close every connection; the next use opens new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.closeall()


def current_database() -> Database:
    """Return the database of the running application."""
    return current_app.extensions["crm_database"]
