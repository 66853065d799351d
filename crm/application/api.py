"""The JSON API.

It uses the session of the log-in page. Writing calls carry the CSRF token, which
``GET /api/session`` tells, in the header ``X-CSRF-Token``; bodies are ``application/json``.

===========================================  ====================================================
GET    /api/session                          ``{"login", "csrf_token"}``
GET    /api/customers?q=&page=               ``{"customers", "page", "pages", "total", "more"}``
GET    /api/customers?q=&after=0             ``{"customers", "next"}``
POST   /api/customers                        201 with the customer
GET    /api/customers/<id>                   the customer
PUT    /api/customers/<id>                   the customer with its fields replaced
DELETE /api/customers/<id>                   204; visits and photo go with it
GET    /api/customers/<id>/visits            ``{"visits", "next"}``, the latest first
POST   /api/customers/<id>/visits            201 with the visit
===========================================  ====================================================

Lists come in pages. ``next`` is the path of the page behind, null on the last one. ``page`` leads
to the first 10,000 customers in the order of their names, and ``more`` tells whether there are
others; ``after``, to all of them in the order of their numbers, behind that one.

A customer has ``name`` (required), ``email``, ``phone``, ``company``, ``notes``, and, when read,
``id``, ``photo`` (a path or null; photos are set with the form), ``created_at`` and
``updated_at``. A visit has ``date`` (YYYY-MM-DD), ``who`` (required), ``note``, and, when read,
``id``. An omitted optional field becomes empty.

Answers with one customer have an ``ETag``. With it as ``If-Match``, a PUT or DELETE of a customer
that was changed meanwhile is refused with 412; without, the last one to write is right.

Errors are ``{"error": sentence}``: 400 (malformed, CSRF token), 401 (no session), 404, 405, 412,
413, 422 (with ``"fields"``: sentences by field), 500, 503.
"""

import hashlib
import json
from typing import Any

from flask import Blueprint, Response, abort, g, jsonify, request, url_for

from application import customers, visits
from application.database import current_database
from application.photos import current_uploads
from application.security import csrf_token
from application.validation import (
    Invalid,
    after_argument,
    before_argument,
    customer_fields,
    search_arguments,
    search_text,
    visit_fields,
)
from application.versions import Record

pages = Blueprint("api", __name__, url_prefix="/api")

# On a page: as many as a client that knew no pages may expect to be all.
VISITS = 100

Answer = Response | tuple[Response, int] | tuple[str, int]


def _customer(row: Record) -> dict[str, Any]:
    fields = ("id", "name", "email", "phone", "company", "notes")
    photo = url_for("photos.show", name=row["photo"]) if row["photo"] else None
    times = {name: row[name].isoformat() for name in ("created_at", "updated_at")}
    return {name: row[name] for name in fields} | {"photo": photo} | times


def _etag(row: Record) -> str:
    return hashlib.sha256(json.dumps(_customer(row)).encode()).hexdigest()[:32]


def _check_match(row: Record) -> None:
    if "If-Match" in request.headers and not request.if_match.contains(_etag(row)):
        abort(412, "The customer was changed meanwhile. Please read it again.")


def _visit(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "date": row["visited_on"].isoformat(),
        "note": row["note"],
        "who": row["who"],
    }


def _body() -> dict[str, Any]:
    try:
        body = request.get_json()
    except RecursionError:
        abort(400, "The JSON is nested too deeply.")
    if not isinstance(body, dict):
        abort(400, "The body has to be a JSON object.")
    return body


@pages.errorhandler(Invalid)
def invalid(error: Invalid) -> Answer:
    """Return fields that are not acceptable."""
    return jsonify(error="Some fields are not acceptable.", fields=error.errors), 422


@pages.get("/session")
def session_information() -> Answer:
    """Tell who is logged in and the CSRF token for writing calls."""
    return jsonify(login=g.user["login"], csrf_token=csrf_token())


@pages.get("/customers")
def index() -> Answer:
    """List or search the customers: those of a page, or those behind a number."""
    after = after_argument(request.args)
    if after is not None:
        return _listed(search_text(request.args), after)
    page = customers.search(current_database(), *search_arguments(request.args))
    return jsonify(
        customers=[_customer(row) for row in page.rows],
        page=page.number,
        pages=page.pages,
        total=page.total,
        more=page.more,
    )


def _listed(query: str, after: int) -> Answer:
    rows, more = customers.listed(current_database(), query, after)
    behind = {"q": query or None, "after": rows[-1]["id"]} if more else None
    return jsonify(
        customers=[_customer(row) for row in rows],
        next=behind and url_for(".index", **behind),
    )


@pages.post("/customers")
def create() -> Answer:
    """Add a customer."""
    fields = customer_fields(_body())
    customer_id = customers.create(current_database(), current_uploads(), fields, None)
    response = show(customer_id)
    response.headers["Location"] = url_for(".show", customer_id=customer_id)
    return response, 201


@pages.get("/customers/<id:customer_id>")
def show(customer_id: int) -> Response:
    """Return one customer."""
    row = customers.find(current_database(), customer_id) or abort(404)
    response = jsonify(_customer(row))
    response.set_etag(_etag(row))
    return response


@pages.put("/customers/<id:customer_id>")
def update(customer_id: int) -> Answer:
    """Replace the fields of a customer; the photo stays."""
    fields = customer_fields(_body())
    found = customers.update(
        current_database(), current_uploads(), customer_id, fields, check=_check_match
    )
    if not found:
        abort(404)
    return show(customer_id)


@pages.delete("/customers/<id:customer_id>")
def delete(customer_id: int) -> Answer:
    """Remove a customer."""
    if not customers.delete(current_database(), current_uploads(), customer_id, _check_match):
        abort(404)
    return "", 204


@pages.get("/customers/<id:customer_id>/visits")
def visit_index(customer_id: int) -> Answer:
    """List the visits of a customer, a page at a time."""
    before = before_argument(request.args)
    if customers.find(current_database(), customer_id) is None:
        abort(404)
    page = visits.of_customer(current_database(), customer_id, before, VISITS)
    behind = page.older and url_for(".visit_index", customer_id=customer_id, before=page.older)
    return jsonify(visits=[_visit(row) for row in page.rows], next=behind)


@pages.post("/customers/<id:customer_id>/visits")
def visit_create(customer_id: int) -> Answer:
    """Add a visit to a customer."""
    row = visits.create(current_database(), customer_id, visit_fields(_body()))
    return jsonify(_visit(row or abort(404))), 201
