"""Errors as readable pages, or as JSON below /api/."""

from flask import Flask, current_app, jsonify, render_template, request
from flask.globals import request_ctx
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from application.database import DatabaseUnavailable
from application.photos import UploadsUnavailable
from application.security import is_api

TITLES = {
    400: "That did not work",
    404: "There is nothing here",
    405: "That is not possible here",
    408: "That took too long",
    413: "That is too big",
    500: "Something went wrong",
    503: "Temporarily unavailable",
}
SENTENCES = {
    404: "The page does not exist, or what it showed has been deleted.",
    405: "This address does not support that kind of request.",
    500: "The error has been recorded. Please try again later.",
}

Answer = Response | tuple[str, int] | tuple[Response, int]


def answer(status: int, sentence: str) -> Answer:
    """Return an error as the page, or the JSON, that fits the request."""
    if is_api(request):
        return jsonify(error=sentence), status
    # The name in the Host header is none, and a page would have links to it.
    if request_ctx.url_adapter is None:
        return Response(f"{sentence}\n", status, mimetype="text/plain")
    title = TITLES.get(status, "That did not work")
    return render_template("error.html", status=status, title=title, sentence=sentence), status


def _http_error(error: HTTPException) -> Answer:
    # Redirects travel as exceptions too.
    if error.code is None or error.code < 400:
        return error.get_response()
    status = error.code
    own_words = error.description != type(error).description
    sentence = error.description if own_words else SENTENCES.get(status)
    return answer(status, sentence or error.description or "The request failed.")


def _unexpected(error: Exception) -> Answer:
    current_app.logger.exception("%s %s failed", request.method, request.path)
    return answer(500, SENTENCES[500])


def _database_unavailable(error: DatabaseUnavailable) -> Answer:
    current_app.logger.error("The database is unavailable: %s", error)
    return answer(503, "The database cannot be reached right now. Please try again in a minute.")


def _uploads_unavailable(error: UploadsUnavailable) -> Answer:
    current_app.logger.error("The uploads directory is unavailable: %s", error)
    return answer(
        503,
        "Photos cannot be stored or shown right now, so nothing was changed."
        " Please try again in a minute.",
    )


def install(app: Flask) -> None:
    """Register the error pages."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(DatabaseUnavailable, _database_unavailable)
    app.register_error_handler(UploadsUnavailable, _uploads_unavailable)
    app.register_error_handler(Exception, _unexpected)
