"""What every request passes: the session, the CSRF token, and the headers of the answer."""

import hmac
import secrets

from flask import Flask, Request, Response, abort, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSessionInterface

from application import accounts, bodies, forms
from application.database import current_database

# Without a session, and without a cookie: the proxy polls the first, browsers cache the second.
SESSIONLESS = {"health.alive", "health.health", "static"}
ANONYMOUS = {"accounts.root", "accounts.login"}

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SessionInterface(SecureCookieSessionInterface):
    """Flask's signed cookie, marked Secure whenever the visitor came over TLS."""

    def get_cookie_secure(self, app: Flask) -> bool:
        """Follow the request: the same release runs behind proxies with and without TLS."""
        return request.is_secure


def csrf_token() -> str:
    """Return the token of this session, made on first use."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return session["csrf"]


def is_api(incoming: Request) -> bool:
    """Tell whether a request belongs to the JSON API."""
    return incoming.path == "/api" or incoming.path.startswith("/api/")


def _load_user() -> None:
    g.user = None
    if request.endpoint in SESSIONLESS or "user" not in session:
        return
    g.user = accounts.user_of_session(current_database(), session["user"], session["epoch"])
    if g.user is None:
        session.clear()


def _require_user() -> Response | None:
    # A request without an endpoint becomes a 404 by itself.
    if g.user is not None or request.endpoint is None:
        if g.user is not None and g.user["for_checks"] and request.endpoint == "accounts.account":
            abort(403, "This account is for checks only.")
        return None
    if request.endpoint in SESSIONLESS | ANONYMOUS:
        return None
    if is_api(request):
        abort(401, "Please log in.")
    target = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("accounts.login", next=target), code=303)


def _require_csrf_token() -> None:
    if request.method not in bodies.WRITING or request.endpoint is None:
        return
    given = request.headers.get("X-CSRF-Token") or request.form.get("csrf_token", "")
    expected = session.get("csrf", "")
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        abort(400, "The form is too old. Please go back, reload the page and try again.")


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response


def install(app: Flask) -> None:
    """Make an application check every request and protect every answer."""
    app.session_interface = SessionInterface()
    app.before_request(_load_user)
    app.before_request(forms.check_query)
    app.before_request(_require_user)
    # Behind the question who asks: nobody's body is awaited.
    app.before_request(bodies.receive)
    app.before_request(_require_csrf_token)
    app.after_request(_add_headers)
    app.after_request(bodies.drain)
    app.jinja_env.globals["csrf_token"] = csrf_token
