"""What is sent is read strictly: a form that says something else than it seems to is refused.

werkzeug puts U+FFFD in the place of bytes that are no UTF-8, takes what it can of a form that is
broken, and has no limit to the fields of one.
"""

from urllib.parse import unquote_to_bytes

from flask import abort, request
from werkzeug.exceptions import HTTPException

# The largest form has ten.
FIELDS_MAXIMUM = 100
# What stands before the value of a field: browsers write two lines.
_HEAD_MAXIMUM = 4096
# RFC 2046, section 5.1.1.
_BOUNDARY_MAXIMUM = 70
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNREADABLE = "The form that was sent cannot be read."
_NO_UTF8 = "What was sent is not UTF-8."


def check_query() -> None:
    """Refuse with 400 a query that is no UTF-8 or has too many fields."""
    query = request.query_string
    _check_fields(query.count(b"&") + 1)
    _check_utf8(query)


def check(body: bytes, text_maximum: int) -> None:
    """Refuse a form with 400, or with 413 when it has more text than that beside its files."""
    try:
        _check(body, text_maximum)
    except HTTPException:
        raise
    # Whatever else goes wrong here is in what was sent: a charset that nobody knows, for one.
    except Exception:
        abort(400, _UNREADABLE)


def _check(body: bytes, text_maximum: int) -> None:
    if request.mimetype == "application/x-www-form-urlencoded":
        _check_text(len(body), text_maximum)
        _check_fields(body.count(b"&") + 1)
        _check_utf8(body)
    elif request.mimetype == "multipart/form-data":
        _check_parts(body)
        texts = _texts()
        _check_text(sum(len(text) for text in texts), text_maximum)
        # Only werkzeug knows which bytes are text.
        signs = sum(text.count(_REPLACEMENT) for text in texts)
        if signs > body.count(_REPLACEMENT.encode()):
            abort(400, _NO_UTF8)


def _check_text(length: int, maximum: int) -> None:
    if length > maximum:
        abort(413, "That is too much text.")


def _check_parts(body: bytes) -> None:
    """Refuse a form unless it is whole, and each of its parts has a head, and a small one."""
    boundary = request.mimetype_params.get("boundary", "")
    if not (boundary and boundary.isascii() and len(boundary) <= _BOUNDARY_MAXIMUM):
        abort(400, _UNREADABLE)
    delimiter = b"--" + boundary.encode()
    if not body:
        return
    before, *parts = body.split(delimiter, FIELDS_MAXIMUM + 2)
    _check_fields(len(parts) - 1)
    if before not in (b"", b"\r\n") or parts[-1] not in (b"--", b"--\r\n"):
        abort(400, _UNREADABLE)
    if any(part.find(b"\r\n\r\n", 0, _HEAD_MAXIMUM) < 0 for part in parts[:-1]):
        abort(400, _UNREADABLE)


def _check_fields(count: int) -> None:
    if count > FIELDS_MAXIMUM:
        abort(400, "That has too many fields.")


def _check_utf8(urlencoded: bytes) -> None:
    try:
        unquote_to_bytes(urlencoded).decode()
    except UnicodeDecodeError:
        abort(400, _NO_UTF8)


def _texts() -> list[str]:
    """Return all names and values of the form, and what its files are called."""
    fields = [text for field in request.form.items(multi=True) for text in field]
    files = request.files.items(multi=True)
    return fields + [text or "" for name, file in files for text in (name, file.filename)]
