"""Tries of passwords: counted for who tries, before the slow hash of the password is computed.

A stranger's failures lock out nobody but those who come from the stranger's address.
"""

import ipaddress
import time
from collections.abc import Callable

from flask import request

from application.database import Database

# Of one login from one address, and of all logins from one address: an office may have one.
LOGIN_MAXIMUM, ADDRESS_MAXIMUM, MINUTES = 10, 50, 5
# For how long a try waits for others that go on and may all be right; the balancer waits for 30 s.
WAIT_SECONDS, POLL_SECONDS = 15.0, 0.1
# Whoever has one IPv6 address has all of such a network: RFC 6177, section 2.
_IPV6_PREFIX = 64


class Throttled(Exception):
    """There were too many failures lately."""


def client_address() -> str:
    """Return who asks, as the balancer has written it behind all that the client may have said."""
    for said in (request.headers.get("X-Forwarded-For", ""), request.remote_addr or ""):
        try:
            address = ipaddress.ip_address(said.rpartition(",")[2].strip())
        except ValueError:
            continue
        if isinstance(address, ipaddress.IPv4Address):
            return str(address)
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(address), _IPV6_PREFIX), strict=False))
    return "unknown"


def counted(database: Database, login: str, address: str, matches: Callable[[], bool]) -> bool:
    """Return what `matches` returns, and count it as a failure of login and address unless true.

    Raises Throttled, and asks nothing, after LOGIN_MAXIMUM failures of both, or ADDRESS_MAXIMUM of
    the address, within MINUTES.
    """
    number = _begin(database, login, address)
    # Outside the transaction: hashing is slow on purpose and needs no connection.
    right = matches()
    with database.transaction() as cursor:
        if right:
            cursor.execute(
                "DELETE FROM login_failures WHERE id = %s"
                " OR (login = %s AND address = %s AND NOT pending)",
                (number, login, address),
            )
        else:
            cursor.execute(
                "UPDATE login_failures SET pending = false, failed_at = now() WHERE id = %s",
                (number,),
            )
            # Those that another one is removing, or ending, are left to it.
            cursor.execute(
                "DELETE FROM login_failures WHERE id IN (SELECT id FROM login_failures"
                " WHERE failed_at < now() - make_interval(mins => %s) FOR UPDATE SKIP LOCKED)",
                (MINUTES,),
            )
    return right


def _begin(database: Database, login: str, address: str) -> int:
    """Return the number of a try that is counted from now on; raise Throttled."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        with database.transaction() as cursor:
            # One after the other, on all servers: else many at once would all count too few.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (address,))
            cursor.execute(
                "SELECT count(*) AS tries, count(*) FILTER (WHERE NOT pending) AS failures,"
                " count(*) FILTER (WHERE login = %(login)s) AS login_tries,"
                " count(*) FILTER (WHERE login = %(login)s AND NOT pending) AS login_failures"
                " FROM login_failures WHERE address = %(address)s"
                " AND failed_at > now() - make_interval(mins => %(minutes)s)",
                {"login": login, "address": address, "minutes": MINUTES},
            )
            found = cursor.fetchone()
            if found["tries"] < ADDRESS_MAXIMUM and found["login_tries"] < LOGIN_MAXIMUM:
                cursor.execute(
                    "INSERT INTO login_failures (login, address, pending)"
                    " VALUES (%s, %s, true) RETURNING id",
                    (login, address),
                )
                return cursor.fetchone()["id"]
        failed = found["failures"] >= ADDRESS_MAXIMUM or found["login_failures"] >= LOGIN_MAXIMUM
        if failed or time.monotonic() > deadline:
            raise Throttled
        time.sleep(POLL_SECONDS)
