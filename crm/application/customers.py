"""Customers: reading, searching and changing them in the database."""

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from psycopg2.extras import RealDictCursor

from application import photos, versions
from application.database import Database
from application.photos import Photo, Uploads
from application.validation import CustomerFields
from application.versions import Check

PAGE_SIZE = 20
# Pages by number end here, and so does counting: what is skipped or counted has to be read.
COUNT_MAXIMUM = 10_000
Row = dict[str, Any]

# At once, which takes a third of the time of four comparisons: no field, and no query, has a line
# end, so nothing is found across two fields.
_MATCHES = (
    "lower(name || E'\\n' || email || E'\\n' || phone || E'\\n' || company) LIKE lower(%(pattern)s)"
)


class Keep(Enum):
    """What an edit does with the photo when it brings no new one."""

    PHOTO = "keep"
    NOTHING = "remove"


@dataclass(frozen=True)
class Page:
    """One page of a list of customers; `more` tells that there are more than the total."""

    rows: list[Row]
    number: int
    pages: int
    total: int
    more: bool


def _pattern(query: str) -> str:
    for special in ("\\", "%", "_"):
        query = query.replace(special, "\\" + special)
    return f"%{query}%"


def search(database: Database, query: str, number: int) -> Page:
    """Return a page of the customers that contain the query; beyond the end, the last page."""
    with database.transaction() as cursor:
        parameters: dict[str, Any] = {"pattern": _pattern(query), "size": PAGE_SIZE}
        # Everybody matches no text at all, but not at once.
        which = f"WHERE {_MATCHES}" if query else ""
        cursor.execute(
            "SELECT count(*) AS total"
            f" FROM (SELECT FROM customers {which} LIMIT {COUNT_MAXIMUM + 1}) AS counted",
            parameters,
        )
        counted = cursor.fetchone()["total"]
        total = min(counted, COUNT_MAXIMUM)
        pages = max(1, -(-total // PAGE_SIZE))
        number = min(number, pages)
        rows: list[Row] = []
        if total:
            # Only of those that are shown, and not of those that are skipped, all is read.
            cursor.execute(
                "SELECT *, (SELECT max(visited_on) FROM visits WHERE customer_id = customers.id)"
                f" AS last_visit FROM customers WHERE id IN (SELECT id FROM customers {which}"
                " ORDER BY lower(name), id LIMIT %(size)s OFFSET %(offset)s)"
                " ORDER BY lower(name), id",
                parameters | {"offset": (number - 1) * PAGE_SIZE},
            )
            rows = cursor.fetchall()
        return Page(rows, number, pages, total, more=counted > total)


def listed(database: Database, query: str, after: int) -> tuple[list[Row], bool]:
    """Return the customers that contain the query, by number, and whether there are more.

    They begin behind the number `after`: so all of many are read, at the same cost each time.
    """
    which = f"AND {_MATCHES}" if query else ""
    with database.transaction() as cursor:
        cursor.execute(
            f"SELECT * FROM customers WHERE id > %(after)s {which} ORDER BY id LIMIT %(limit)s",
            {"pattern": _pattern(query), "after": after, "limit": PAGE_SIZE + 1},
        )
        rows = cursor.fetchall()
    return rows[:PAGE_SIZE], len(rows) > PAGE_SIZE


def find(database: Database, customer_id: int) -> Row | None:
    """Return a customer, or None when there is no such customer."""
    with database.transaction() as cursor:
        cursor.execute("SELECT * FROM customers WHERE id = %s", (customer_id,))
        return cursor.fetchone()


def create(
    database: Database, uploads: Uploads, fields: CustomerFields, photo: Photo | None
) -> int:
    """Add a customer and return the number it got.

    Raises UploadsUnavailable or DatabaseUnavailable, and then nothing was added.
    """
    try:
        with database.transaction() as cursor:
            if photo is not None:
                photos.lock(cursor, photo.name)
                uploads.write(photo)
            cursor.execute(
                "INSERT INTO customers (name, email, phone, company, notes, photo) VALUES"
                " (%(name)s, %(email)s, %(phone)s, %(company)s, %(notes)s, %(photo)s)"
                " RETURNING id",
                asdict(fields) | {"photo": photo.name if photo else None},
            )
            return cursor.fetchone()["id"]
    except Exception:
        if photo is not None:
            photos.discard_unused(database, uploads, photo.name)
        raise


def update(
    database: Database,
    uploads: Uploads,
    customer_id: int,
    fields: CustomerFields,
    photo: Photo | Keep = Keep.PHOTO,
    check: Check = versions.anything,
) -> bool:
    """Replace a customer's fields; return False when there is no such customer.

    Raises what `check` does, UploadsUnavailable or DatabaseUnavailable, and then nothing was
    changed.
    """
    try:
        with database.transaction() as cursor:
            old = _locked(cursor, customer_id)
            if old is None:
                return False
            check(old)
            before = after = old["photo"]
            if isinstance(photo, Photo):
                after = photo.name
                photos.lock(cursor, after)
                uploads.write(photo)
            elif photo is Keep.NOTHING:
                after = None
            if before and before != after:
                uploads.check_writable()
            cursor.execute(
                "UPDATE customers SET name = %(name)s, email = %(email)s, phone = %(phone)s,"
                " company = %(company)s, notes = %(notes)s, photo = %(photo)s,"
                " updated_at = now() WHERE id = %(id)s",
                asdict(fields) | {"photo": after, "id": customer_id},
            )
    except Exception:
        if isinstance(photo, Photo):
            photos.discard_unused(database, uploads, photo.name)
        raise
    if before and before != after:
        photos.discard_unused(database, uploads, before)
    return True


def delete(
    database: Database, uploads: Uploads, customer_id: int, check: Check = versions.anything
) -> bool:
    """Remove a customer with visits and photo; return False when there is no such customer.

    Raises what `check` does, UploadsUnavailable or DatabaseUnavailable, and then nothing was
    removed. The file goes after the commit: a customer without the photo would be worse than a
    file without customer.
    """
    with database.transaction() as cursor:
        old = _locked(cursor, customer_id)
        if old is None:
            return False
        check(old)
        if old["photo"]:
            uploads.check_writable()
        cursor.execute("DELETE FROM customers WHERE id = %s", (customer_id,))
    if old["photo"]:
        photos.discard_unused(database, uploads, old["photo"])
    return True


def _locked(cursor: RealDictCursor, customer_id: int) -> Row | None:
    cursor.execute("SELECT * FROM customers WHERE id = %s FOR UPDATE", (customer_id,))
    return cursor.fetchone()
