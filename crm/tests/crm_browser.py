"""A browser that uses the application, without a network between them."""

import io
import re

from flask import Flask
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

PASSWORD = "correct horse"
# One round: the tests are not about how slow hashing is.
PASSWORD_HASH = generate_password_hash(PASSWORD, "pbkdf2:sha256:1")


class Browser:
    """A visitor with a cookie jar who reads the CSRF token from the page shown last."""

    def __init__(self, app: Flask, address: str = "192.0.2.1") -> None:
        """Start without a cookie; the balancer says who asks."""
        self.client = app.test_client()
        self.client.environ_base["HTTP_X_FORWARDED_FOR"] = address
        self.token = ""

    def get(self, path: str) -> TestResponse:
        """Open a page."""
        response = self.client.get(path)
        found = re.search(r'name="csrf_token" value="([^"]+)"', response.get_data(as_text=True))
        self.token = found[1] if found else self.token
        return response

    def post(self, path: str, **fields: object) -> TestResponse:
        """Send a form; bytes become a file whose name says nothing about its content."""
        data = {"csrf_token": self.token}
        for name, value in fields.items():
            data[name] = (io.BytesIO(value), "upload.bin") if isinstance(value, bytes) else value
        return self.client.post(path, data=data)

    def log_in(self, login: str = "admin", password: str = PASSWORD) -> TestResponse:
        """Log in, and read the token of the new session."""
        self.get("/login")
        response = self.post("/login", login=login, password=password)
        if response.status_code == 303:
            self.get("/customers/new")
        return response

    def add(self, name: str, **fields: object) -> str:
        """Add a customer and return its path."""
        response = self.post("/customers/new", name=name, **fields)
        assert response.status_code == 303, response.get_data(as_text=True)
        return response.headers["Location"]

    def api(self, method: str, path: str, body: object = None) -> TestResponse:
        """Call the JSON API with the CSRF token."""
        headers = {"X-CSRF-Token": self.token}
        return self.client.open(path, method=method, json=body, headers=headers)
