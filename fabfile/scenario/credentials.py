"""Passwords and keys: made by the first operation, kept on this computer, for the person alone."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path

# Letters and digits only: such a value needs no quoting in a URL, a file or a shell.
ALPHABET = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
LENGTH = 40
# What lets in at the second place: see second_place.py.
SECOND_PLACE = "second-place.json"
# All that a scenario has, whichever application it runs.
NAMES = (
    "administrator_password",
    "api_token",
    "application_key",
    "backup_password",
    "checks_password",
    "database_password",
    "statistics_password",
)


class SecretError(Exception):
    """A secret that nobody has made yet, and what makes it, as one sentence."""


def make_secrets(state: Path) -> None:
    """Make those of NAMES that `state`/secrets.json lacks: what each operation begins with."""
    known = _read(state)
    missing = [name for name in NAMES if name not in known]
    if not missing:
        return
    for name in missing:
        known[name] = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = _file(state).with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(known, file, indent=2)
    new.replace(_file(state))


def secret(state: Path, name: str) -> str:
    """Return the secret of that name; raises SecretError when it has not been made."""
    try:
        return _read(state)[name]
    except KeyError:
        raise SecretError(f"there is no {name} in {_file(state)}: deploy makes it") from None


def _file(state: Path) -> Path:
    return state / "secrets.json"


def _read(state: Path) -> dict[str, str]:
    file = _file(state)
    found: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    return found


def digest(password: str) -> str:
    """Return a word that follows from a password, which does not follow from it."""
    return hashlib.sha256(f"word of {password}".encode()).hexdigest()[:20]


def known_secrets(state: Path) -> list[str]:
    """Return the values of all secrets made so far: what no output may show."""
    return [*_read(state).values(), *_of_second_place(state)]


def _of_second_place(state: Path) -> list[str]:
    """Return the lines of a private key, and the keys of S3."""
    try:
        known = json.loads((state / SECOND_PLACE).read_text())
    except (OSError, ValueError):
        return []
    values = [str(known.get(name, "")) for name in ("key", "access_key", "secret_key")]
    lines = [line for value in values for line in value.splitlines()]
    return [line for line in lines if line and not line.startswith("-----")]


def scram_verifier(password: str, role: str) -> str:
    """Return what PostgreSQL stores of a password, so that the password itself stays here.

    The salt follows from password and role: the same verifier each time, which can be compared
    with the stored one.
    """
    salt = hashlib.sha256(f"salt of {role} {password}".encode()).digest()[:16]
    return salted_verifier(password, salt, 4096)


def salted_verifier(password: str, salt: bytes, iterations: int) -> str:
    """Return the SCRAM-SHA-256 verifier of a password (RFC 5803) as PostgreSQL writes it."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(value).decode() for value in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${iterations}:{encoded[0]}${encoded[1]}:{encoded[2]}"
