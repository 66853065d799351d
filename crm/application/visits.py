"""Visits of a customer: the database side and the pages."""

from dataclasses import asdict, dataclass
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from application import versions
from application.database import Database, current_database
from application.validation import Invalid, Place, VisitFields, visit_fields
from application.versions import Changed, Check, Seen

Row = dict[str, Any]

PAGE_SIZE = 20
COUNT_MAXIMUM = 10_000
SEEN = ("visited_on", "who", "note")

pages = Blueprint("visits", __name__, url_prefix="/customers/<id:customer_id>/visits")


@dataclass(frozen=True)
class Page:
    """Some of a customer's visits, the latest first; `older` is where the next page begins."""

    rows: list[Row]
    older: str | None


def of_customer(
    database: Database, customer_id: int, before: Place | None, size: int = PAGE_SIZE
) -> Page:
    """Return a page of a customer's visits: the latest, or those that are older than a place."""
    older = "AND (visited_on, id) < (%(day)s, %(number)s)" if before else ""
    with database.transaction() as cursor:
        cursor.execute(
            f"SELECT * FROM visits WHERE customer_id = %(customer_id)s {older}"
            " ORDER BY visited_on DESC, id DESC LIMIT %(limit)s",
            {
                "customer_id": customer_id,
                "day": before and before.visited_on,
                "number": before and before.number,
                "limit": size + 1,
            },
        )
        rows = cursor.fetchall()
    last = rows[size - 1] if len(rows) > size else None
    return Page(rows[:size], last and str(Place(last["visited_on"], last["id"])))


def count(database: Database, customer_id: int) -> str:
    """Return how many visits a customer has, as far as it is worth counting."""
    with database.transaction() as cursor:
        cursor.execute(
            "SELECT count(*) AS total FROM (SELECT FROM visits WHERE customer_id = %s"
            f" LIMIT {COUNT_MAXIMUM + 1}) AS counted",
            (customer_id,),
        )
        total = cursor.fetchone()["total"]
    return str(total) if total <= COUNT_MAXIMUM else f"{COUNT_MAXIMUM}+"


def find(database: Database, customer_id: int, visit_id: int) -> Row | None:
    """Return a visit of a customer, or None when there is no such visit."""
    with database.transaction() as cursor:
        cursor.execute(
            "SELECT * FROM visits WHERE id = %s AND customer_id = %s", (visit_id, customer_id)
        )
        return cursor.fetchone()


def create(database: Database, customer_id: int, fields: VisitFields) -> Row | None:
    """Add a visit and return it; None when there is no such customer."""
    with database.transaction() as cursor:
        # The customer may be deleted meanwhile, so reading it first would not be enough.
        cursor.execute("SELECT FROM customers WHERE id = %s FOR KEY SHARE", (customer_id,))
        if cursor.rowcount == 0:
            return None
        cursor.execute(
            "INSERT INTO visits (customer_id, visited_on, note, who)"
            " VALUES (%(customer_id)s, %(visited_on)s, %(note)s, %(who)s) RETURNING *",
            asdict(fields) | {"customer_id": customer_id},
        )
        return cursor.fetchone()


def update(
    database: Database,
    customer_id: int,
    visit_id: int,
    fields: VisitFields,
    check: Check = versions.anything,
) -> bool:
    """Replace a visit's fields; return False when there is no such visit.

    Raises what `check` does, and then nothing was changed.
    """
    with database.transaction() as cursor:
        cursor.execute(
            "SELECT * FROM visits WHERE id = %s AND customer_id = %s FOR UPDATE",
            (visit_id, customer_id),
        )
        old = cursor.fetchone()
        if old is None:
            return False
        check(old)
        cursor.execute(
            "UPDATE visits SET visited_on = %(visited_on)s, note = %(note)s, who = %(who)s"
            " WHERE id = %(id)s",
            asdict(fields) | {"id": visit_id},
        )
        return cursor.rowcount == 1


def delete(database: Database, customer_id: int, visit_id: int) -> bool:
    """Remove a visit; return False when there is no such visit."""
    with database.transaction() as cursor:
        cursor.execute(
            "DELETE FROM visits WHERE id = %s AND customer_id = %s", (visit_id, customer_id)
        )
        return cursor.rowcount == 1


def _back(customer_id: int) -> Response:
    return redirect(url_for("customers.show", customer_id=customer_id, _anchor="visits"), code=303)


@pages.post("")
def add(customer_id: int) -> Response | tuple[str, int]:
    """Add a visit from the form on the customer's page."""
    try:
        fields = visit_fields(request.form)
    except Invalid as invalid:
        return _form(customer_id, None, dict(request.form), invalid.errors), 422
    if create(current_database(), customer_id, fields) is None:
        abort(404)
    flash("The visit was added.")
    return _back(customer_id)


@pages.route("/<id:visit_id>/edit", methods=["GET", "POST"])
def edit(customer_id: int, visit_id: int) -> Response | str | tuple[str, int]:
    """Show the form of a visit and take it."""
    if request.method == "GET":
        visit = find(current_database(), customer_id, visit_id) or abort(404)
        return _form(customer_id, visit_id, _values(visit, Seen.of(visit, SEEN)), {})
    try:
        fields = visit_fields(request.form)
    except Invalid as invalid:
        return _form(customer_id, visit_id, dict(request.form), invalid.errors), 422
    seen = versions.asked(request.form, SEEN)
    check = seen.check if seen else versions.anything
    try:
        found = update(current_database(), customer_id, visit_id, fields, check)
    except Changed as changed:
        values = _values(seen.merged(asdict(fields), changed), Seen.of(changed.record, SEEN))
        changes = {name: changed.record[name] for name in changed.fields}
        return _form(customer_id, visit_id, values, {}, changes), 409
    if not found:
        abort(404)
    flash("The visit was saved.")
    return _back(customer_id)


@pages.post("/<id:visit_id>/delete")
def remove(customer_id: int, visit_id: int) -> Response:
    """Remove a visit."""
    if not delete(current_database(), customer_id, visit_id):
        abort(404)
    flash("The visit was deleted.")
    return _back(customer_id)


def _values(visit: Row, seen: Seen) -> Row:
    return visit | {"date": visit["visited_on"].isoformat(), "seen": seen}


def _form(
    customer_id: int,
    visit_id: int | None,
    values: Row,
    errors: dict[str, str],
    changes: Row | None = None,
) -> str:
    return render_template(
        "visit_form.html",
        customer_id=customer_id,
        visit_id=visit_id,
        values=values,
        errors=errors,
        changes=changes,
    )
