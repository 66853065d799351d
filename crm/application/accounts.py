"""Accounts: passwords, logging in and out.

The session is Flask's signed cookie, so any server with the same SECRET_KEY accepts it. It holds
the user's number and ``session_epoch``; logging out and changing the password raise the epoch in
the database, which ends every older session of the user on every device.
"""

from typing import Any

from flask import (
    Blueprint,
    current_app,
    flash,
    g,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.wrappers import Response

from application import tries
from application.database import Database, current_database
from application.tries import Throttled
from application.validation import storable

LOGIN_MAXIMUM = 100
PASSWORD_MINIMUM, PASSWORD_MAXIMUM = 8, 1000
# OWASP Password Storage Cheat Sheet: at least 600 000 rounds of PBKDF2-HMAC-SHA256.
HASH_METHOD = "pbkdf2:sha256:600000"
THROTTLED = f"Too many failed attempts. Please try again in {tries.MINUTES} minutes."

# Compared when there is no such login, so that both cases take as long.
_NOBODYS_HASH = (
    f"{HASH_METHOD}$0000000000000000$"
    "0000000000000000000000000000000000000000000000000000000000000000"
)
Answer = Response | str | tuple[str, int]

pages = Blueprint("accounts", __name__)


def normalised(login: str) -> str:
    """Return a login the way it is stored and compared."""
    return login.strip().lower()


def hashed(password: str) -> str:
    """Return the salted hash of a password."""
    return generate_password_hash(password, HASH_METHOD)


def login_problem(login: str) -> str | None:
    """Return a sentence on what is wrong with a normalised login, None if nothing is."""
    if not login or len(login) > LOGIN_MAXIMUM or not storable(login):
        return f"A login has 1 to {LOGIN_MAXIMUM} printable characters."
    return None


def password_problem(password: str) -> str | None:
    """Return a sentence on what is wrong with a new password, None if nothing is."""
    if not PASSWORD_MINIMUM <= len(password) <= PASSWORD_MAXIMUM:
        return f"A password has {PASSWORD_MINIMUM} to {PASSWORD_MAXIMUM} characters."
    return None


def authenticate(
    database: Database, login: str, password: str, address: str
) -> dict[str, Any] | None:
    """Return the user whose login and password these are, None when they are wrong.

    Raises Throttled after too many failures from that address, whether or not the login exists.
    """
    login = normalised(login)
    if login_problem(login) or len(password) > PASSWORD_MAXIMUM:
        return None
    with database.transaction() as cursor:
        cursor.execute("SELECT * FROM users WHERE login = %s", (login,))
        user = cursor.fetchone()
    password_hash = user["password_hash"] if user else _NOBODYS_HASH
    # Computed also for nobody's: both cases take as long.
    right = tries.counted(
        database,
        login,
        address,
        lambda: check_password_hash(password_hash, password) and user is not None,
    )
    return user if right else None


def user_of_session(database: Database, user_id: int, epoch: int) -> dict[str, Any] | None:
    """Return the user a session belongs to, None when the session has been ended."""
    with database.transaction() as cursor:
        cursor.execute("SELECT * FROM users WHERE id = %s AND session_epoch = %s", (user_id, epoch))
        return cursor.fetchone()


def end_sessions(database: Database, user_id: int) -> None:
    """Make every session of a user invalid."""
    with database.transaction() as cursor:
        cursor.execute(
            "UPDATE users SET session_epoch = session_epoch + 1 WHERE id = %s", (user_id,)
        )


def change_password(database: Database, user_id: int, password: str) -> dict[str, Any]:
    """Store a new password, end the user's sessions, and return the changed user."""
    password_hash = hashed(password)
    with database.transaction() as cursor:
        cursor.execute(
            "UPDATE users SET password_hash = %s, session_epoch = session_epoch + 1"
            " WHERE id = %s RETURNING *",
            (password_hash, user_id),
        )
        return cursor.fetchone()


def _start_session(user: dict[str, Any]) -> None:
    # Cleared first, so that a token planted before the log-in is worth nothing after it.
    session.clear()
    session.permanent = True
    session["user"] = user["id"]
    session["epoch"] = user["session_epoch"]


def _local_target(target: str) -> str:
    """Return a path on this site to go on to; anything else becomes the list of customers.

    Browsers treat "//host" and "/\\host" as another site (WHATWG URL, relative slash state).
    """
    if target.startswith("/") and target[1:2] not in ("/", "\\") and target.isprintable():
        return target
    return url_for("customers.index")


@pages.get("/")
def root() -> Answer:
    """Show the log-in page to anonymous visitors, lead all others to the customers."""
    if g.user is None:
        return render_template("login.html", login="", target="")
    return redirect(url_for("customers.index"), code=303)


@pages.route("/login", methods=["GET", "POST"])
def login() -> Answer:
    """Show the log-in form and take it."""
    target = request.values.get("next", "")
    if request.method == "GET":
        if g.user is not None:
            return redirect(_local_target(target), code=303)
        return render_template("login.html", login="", target=target)
    name = request.form.get("login", "")
    try:
        password = request.form.get("password", "")
        user = authenticate(current_database(), name, password, tries.client_address())
    except Throttled:
        return render_template("login.html", login=name, target=target, error=THROTTLED), 429
    if user is None:
        current_app.logger.info("A log-in failed")
        message = "Login or password is wrong."
        return render_template("login.html", login=name, target=target, error=message), 401
    _start_session(user)
    return redirect(_local_target(target), code=303)


@pages.post("/logout")
def logout() -> Answer:
    """End the user's sessions."""
    end_sessions(current_database(), g.user["id"])
    session.clear()
    flash("You are logged out.")
    return redirect(url_for("accounts.login"), code=303)


@pages.route("/account", methods=["GET", "POST"])
def account() -> Answer:
    """Show the form for a new password and take it."""
    if request.method == "GET":
        return render_template("account.html", errors={})
    errors = {}
    present = request.form.get("password", "")
    try:
        known = authenticate(current_database(), g.user["login"], present, tries.client_address())
    except Throttled:
        return render_template("account.html", errors={"password": THROTTLED}), 429
    if known is None:
        errors["password"] = "This is not your present password."
    problem = password_problem(request.form.get("new_password", ""))
    if problem:
        errors["new_password"] = problem
    elif request.form["new_password"] != request.form.get("repeated"):
        errors["repeated"] = "The two new passwords differ."
    if errors:
        return render_template("account.html", errors=errors), 422
    user = change_password(current_database(), g.user["id"], request.form["new_password"])
    _start_session(user)
    flash("Your password was changed; your other sessions have ended.")
    return redirect(url_for("accounts.account"), code=303)
