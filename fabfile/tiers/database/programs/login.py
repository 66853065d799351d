"""A login at the database with what a running process was given in its environment."""

from __future__ import annotations

import subprocess
from typing import TypedDict

SECONDS = 5


class Given(TypedDict):
    """The unit whose main process is meant."""

    unit: str


def environment(unit: str) -> dict[str, str]:
    """Return libpq's variables of the unit's main process."""
    show = ["systemctl", "show", "-P", "MainPID", unit]
    main = subprocess.run(show, capture_output=True, text=True).stdout.strip()
    if main in ("", "0"):
        raise SystemExit(f"{unit} does not run")
    with open(f"/proc/{main}/environ", "rb") as file:
        entries = [entry.partition("=") for entry in file.read().decode().split("\0")]
    return {name: value for name, _, value in entries if name.startswith("PG")}


def main(given: Given) -> list[str]:
    """Return as which role it is in, from which address if past the pooler, and its name there."""
    query = "SELECT current_user, host(inet_client_addr()), current_setting('application_name')"
    done = subprocess.run(
        ["/usr/bin/psql", "-XAtwc", query],
        env={
            **environment(given["unit"]),
            "PGCONNECT_TIMEOUT": str(SECONDS),
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
        },
        capture_output=True,
        text=True,
        timeout=2 * SECONDS,
    )
    if done.returncode:
        raise SystemExit((done.stderr.strip().splitlines() or ["psql failed"])[-1])
    return done.stdout.strip().split("|")
