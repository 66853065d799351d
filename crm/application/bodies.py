"""Bodies of requests: received whole, within limits, before anything is done with them.

A thread that waits for a body serves nobody else, so a stranger gets next to no time and room. A
proxy in front should hold small bodies back until they are complete, as HAProxy does with
``option http-buffer-request``.
"""

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flask import Response, abort, g, request

from application import forms
from application.photos import PHOTO_MAXIMUM, TOO_BIG

WRITING = {"POST", "PUT", "PATCH", "DELETE"}
PHOTO_FORMS = {"customers.new", "customers.edit"}
# The longest login, password and way to go on, each byte of them written as %XX.
STRANGERS_MAXIMUM = 8 * 1024
# The longest notes, each character of them written as 12 bytes.
FORM_MAXIMUM = 256 * 1024
# 700 kbit/s suffice for the largest photo. What a stranger may send fits into the proxy's buffer.
STRANGERS_SECONDS, USERS_SECONDS = 2.0, 60.0
# More than this of a refused body is not worth receiving.
DRAIN_MAXIMUM = 64 * 1024 * 1024


def receive() -> None:
    """Receive the body of a request that may have one; refuse it with 411, 413 or 408."""
    if request.method not in WRITING or request.endpoint is None:
        return
    # RFC 9110, section 15.5.12.
    if "Transfer-Encoding" in request.headers:
        abort(411, "The length of the request has to be stated.")
    length = request.content_length or 0
    _check_length(length)
    stream = request.environ["wsgi.input"]
    with _limited_in_time():
        body = stream.read(length) if length else b""
    g.received = True
    # Half a form can look like a whole one.
    if len(body) < length:
        abort(408, "The request took too long, or its end is missing. Please try again.")
    request.environ["wsgi.input"] = io.BytesIO(body)
    forms.check(body, FORM_MAXIMUM)


def _check_length(length: int) -> None:
    if g.user is None:
        maximum, sentence = STRANGERS_MAXIMUM, "That is too much for a log-in."
    elif request.endpoint in PHOTO_FORMS:
        maximum, sentence = PHOTO_MAXIMUM + FORM_MAXIMUM, TOO_BIG
    else:
        maximum, sentence = FORM_MAXIMUM, f"At most {FORM_MAXIMUM // 1024} kB can be sent here."
    if length > maximum:
        abort(413, sentence)


def drain(response: Response) -> Response:
    """Receive the rest of a user's body that was refused; of a stranger's, nothing.

    Closing a connection with unread input resets it, and the client may lose the answer, which
    after a photo that is too big is the very sentence that explains it (RFC 9112, section 9.6).
    """
    refused = request.content_length and not g.get("received")
    if refused and g.user is not None and request.method in WRITING:
        stream, left = request.environ["wsgi.input"], DRAIN_MAXIMUM
        with _limited_in_time():
            while left > 0 and (chunk := stream.read(64 * 1024)):
                left -= len(chunk)
    return response


@contextmanager
def _limited_in_time() -> Iterator[None]:
    """End the request's input when its time is over: reading then answers what has come.

    A timeout of the socket would not do: one byte now and then is never late.
    """
    connection = request.environ.get("gunicorn.socket")
    if connection is None:
        yield
        return
    seconds = STRANGERS_SECONDS if g.user is None else USERS_SECONDS
    timer = threading.Timer(seconds, _end_input, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end_input(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RD)
