"""Checks of what people type: the same for the pages and the JSON API."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from werkzeug.exceptions import BadRequest

# RFC 5321, section 4.5.3.1.3: a path has at most 256 characters, two of them brackets.
EMAIL_MAXIMUM = 254
CUSTOMER_LIMITS = {
    "name": 200,
    "email": EMAIL_MAXIMUM,
    "phone": 50,
    "company": 200,
    "notes": 10_000,
}
VISIT_LIMITS = {"note": 5_000, "who": 100}
MULTILINE = {"notes", "note"}


@dataclass(frozen=True)
class CustomerFields:
    """The checked fields of a customer, apart from the photo."""

    name: str
    email: str
    phone: str
    company: str
    notes: str


@dataclass(frozen=True)
class VisitFields:
    """The checked fields of a visit."""

    visited_on: date
    note: str
    who: str


@dataclass(frozen=True)
class Place:
    """Where a page of visits begins: behind the one of that day and number."""

    visited_on: date
    number: int

    def __str__(self) -> str:
        return f"{self.visited_on.isoformat()}.{self.number}"


class Invalid(Exception):
    """Some fields are not acceptable; ``errors`` maps each to one sentence."""

    def __init__(self, errors: dict[str, str]) -> None:
        """Keep the sentences by field."""
        super().__init__("; ".join(errors.values()))
        self.errors = errors


def storable(text: str) -> bool:
    """Tell whether PostgreSQL can store a text: no NUL, no lone surrogate, no control codes."""
    if any((ord(char) < 32 and char not in "\t\n\r") or ord(char) == 127 for char in text):
        return False
    return not any(0xD800 <= ord(char) <= 0xDFFF for char in text)


def _texts(
    source: Mapping[str, Any], limits: Mapping[str, int], errors: dict[str, str]
) -> dict[str, str]:
    values = {}
    for field, limit in limits.items():
        value = source.get(field)
        value = "" if value is None else value
        label = field.capitalize()
        if not isinstance(value, str):
            errors[field] = f"{label} must be text."
            continue
        # RFC 7578 forms send line ends as CRLF; counting and comparing is easier with one form.
        value = value.replace("\r\n", "\n").strip()
        if field not in MULTILINE:
            value = " ".join(value.split())
        if not storable(value):
            errors[field] = f"{label} contains a character that cannot be stored."
        elif len(value) > limit:
            errors[field] = f"{label} may have at most {limit} characters."
        values[field] = value
    return values


def _is_email(text: str) -> bool:
    local, at, domain = text.rpartition("@")
    return bool(at and local and domain) and not any(char.isspace() for char in text)


def customer_fields(source: Mapping[str, Any]) -> CustomerFields:
    """Return the checked fields of a customer; raise Invalid when one is not acceptable."""
    errors: dict[str, str] = {}
    values = _texts(source, CUSTOMER_LIMITS, errors)
    if "name" not in errors and not values["name"]:
        errors["name"] = "Please enter a name."
    if "email" not in errors and values["email"] and not _is_email(values["email"]):
        errors["email"] = "This does not look like an email address."
    if errors:
        raise Invalid(errors)
    return CustomerFields(**values)


def visit_fields(source: Mapping[str, Any]) -> VisitFields:
    """Return the checked fields of a visit; raise Invalid when one is not acceptable."""
    errors: dict[str, str] = {}
    values = _texts(source, VISIT_LIMITS, errors)
    if "who" not in errors and not values["who"]:
        errors["who"] = "Please enter who made the visit."
    text = source.get("date")
    try:
        visited_on = date.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        errors["date"] = "Please enter the date as YYYY-MM-DD."
    if errors:
        raise Invalid(errors)
    return VisitFields(visited_on=visited_on, **values)


def search_arguments(arguments: Mapping[str, str]) -> tuple[str, int]:
    """Return the search text and the page number of a query string; raise BadRequest on others."""
    page = arguments.get("page", "1")
    if not (page.isascii() and page.isdigit() and len(page) <= 6 and int(page) >= 1):
        raise BadRequest("The page number is not a positive whole number.")
    return search_text(arguments), int(page)


def search_text(arguments: Mapping[str, str]) -> str:
    """Return the search text of a query string; raise BadRequest on one that cannot be."""
    query = " ".join(arguments.get("q", "").split())
    if not storable(query) or len(query) > 200:
        raise BadRequest("The search text is too long or contains unusable characters.")
    return query


def after_argument(arguments: Mapping[str, str]) -> int | None:
    """Return behind which number a list is to begin, None if nothing is said of it."""
    text = arguments.get("after")
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise BadRequest("The number after which the list begins is not a whole number.")
    return int(text)


def before_argument(arguments: Mapping[str, str]) -> Place | None:
    """Return before which visit a list is to begin, None if nothing is said of it."""
    text = arguments.get("before")
    if text is None:
        return None
    matched = re.fullmatch(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\.([0-9]{1,18})", text)
    try:
        return Place(date.fromisoformat(matched[1]), int(matched[2]))
    # None has no parts, and not all that looks like a date is one.
    except (TypeError, ValueError):
        raise BadRequest("The place where the list begins is not one.") from None
