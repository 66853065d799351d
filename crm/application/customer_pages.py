"""The pages of the customers: list, search, one customer, the form, deletion."""

from dataclasses import asdict
from datetime import date
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from application import customers, photos, versions, visits
from application.customers import Keep
from application.database import current_database
from application.images import NotAnImage
from application.photos import Photo, current_uploads
from application.validation import (
    CUSTOMER_LIMITS,
    CustomerFields,
    Invalid,
    before_argument,
    customer_fields,
    search_arguments,
)
from application.versions import Changed, Seen

pages = Blueprint("customers", __name__, url_prefix="/customers")

Answer = Response | str | tuple[str, int]

SEEN = (*CUSTOMER_LIMITS, "photo")


@pages.get("")
def index() -> Answer:
    """List the customers, or those a search finds, in pages."""
    query, number = search_arguments(request.args)
    page = customers.search(current_database(), query, number)
    return render_template("customers.html", page=page, query=query)


@pages.get("/<id:customer_id>")
def show(customer_id: int) -> Answer:
    """Show a customer with the visits."""
    customer = customers.find(current_database(), customer_id) or abort(404)
    before = before_argument(request.args)
    return render_template(
        "customer.html",
        customer=customer,
        visits=visits.of_customer(current_database(), customer_id, before),
        visit_count=visits.count(current_database(), customer_id),
        latest=before is None,
        today=date.today().isoformat(),
    )


def _form_content() -> tuple[CustomerFields, Photo | None]:
    errors: dict[str, str] = {}
    fields = photo = None
    try:
        fields = customer_fields(request.form)
    except Invalid as invalid:
        errors |= invalid.errors
    try:
        photo = photos.received(request.files.get("photo"))
    except NotAnImage as error:
        errors["photo"] = str(error)
    if errors or fields is None:
        raise Invalid(errors)
    return fields, photo


def _form(
    values: dict[str, Any],
    errors: dict[str, str],
    customer_id: int | None = None,
    changes: dict[str, str] | None = None,
) -> str:
    return render_template(
        "customer_form.html",
        values=values,
        errors=errors,
        customer_id=customer_id,
        changes=changes,
    )


@pages.route("/new", methods=["GET", "POST"])
def new() -> Answer:
    """Show the form of a new customer and take it."""
    if request.method == "GET":
        return _form({}, {})
    try:
        fields, photo = _form_content()
    except Invalid as invalid:
        return _form(dict(request.form), invalid.errors), 422
    customer_id = customers.create(current_database(), current_uploads(), fields, photo)
    flash(f"{fields.name} was added.")
    return redirect(url_for(".show", customer_id=customer_id), code=303)


@pages.route("/<id:customer_id>/edit", methods=["GET", "POST"])
def edit(customer_id: int) -> Answer:
    """Show the form of a customer and take it."""
    customer = customers.find(current_database(), customer_id) or abort(404)
    if request.method == "GET":
        return _form(customer | {"seen": Seen.of(customer, SEEN)}, {}, customer_id)
    try:
        fields, photo = _form_content()
    except Invalid as invalid:
        values = dict(request.form) | {"photo": customer["photo"]}
        return _form(values, invalid.errors, customer_id), 422
    choice = photo or (Keep.NOTHING if request.form.get("remove_photo") else Keep.PHOTO)
    seen = versions.asked(request.form, SEEN)
    check = seen.check if seen else versions.anything
    try:
        found = customers.update(
            current_database(), current_uploads(), customer_id, fields, choice, check
        )
    except Changed as changed:
        return _changed_meanwhile(customer_id, fields, seen, changed), 409
    if not found:
        abort(404)
    flash(f"{fields.name} was saved.")
    return redirect(url_for(".show", customer_id=customer_id), code=303)


def _changed_meanwhile(
    customer_id: int, fields: CustomerFields, seen: Seen, changed: Changed
) -> str:
    """Show the form with what was typed, and what somebody else has saved meanwhile."""
    now = changed.record
    changes = {name: now[name] for name in changed.fields}
    values = seen.merged(asdict(fields), changed)
    if "photo" in changes:
        changes["photo"] = "Another one" if now["photo"] else "None"
    else:
        values["remove_photo"] = request.form.get("remove_photo")
    values |= {"photo": now["photo"], "seen": Seen.of(now, SEEN)}
    return _form(values, {}, customer_id, changes)


@pages.post("/<id:customer_id>/delete")
def delete(customer_id: int) -> Answer:
    """Remove a customer with the visits and the photo."""
    if not customers.delete(current_database(), current_uploads(), customer_id):
        abort(404)
    flash("The customer was deleted.")
    return redirect(url_for(".index"), code=303)
