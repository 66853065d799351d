"""What the checks of an application share: a browser that sees which server answers."""

from __future__ import annotations

import secrets
import struct
import time
import zlib
from collections.abc import Mapping
from urllib.parse import urljoin

import requests

from fabfile.engine.waiting import wait_until
from fabfile.scenario import Scenario

# Longer than the balancer waits for a server, whose place it takes with an answer of its own. How
# fast the pages are is for `benchmark` to say.
LIMIT = 35
SEEN_SECONDS = 10
GONE_SECONDS = 3

# Field of a form -> name, content, and kind if it has one.
Files = Mapping[str, tuple[str, bytes] | tuple[str, bytes, str]]


def png(side: int = 8) -> bytes:
    """Return a picture like no other: an application may keep one file for equal ones.

    It has so many pixels on each side, and about three bytes for each of them.
    """

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + secrets.token_bytes(3 * side) for _ in range(side))
    header = chunk(b"IHDR", struct.pack("!IIBBBBB", side, side, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


class Browser:
    """One person's session with the application."""

    def __init__(self, scenario: Scenario) -> None:
        self._url = scenario.url
        self._servers = {machine.name for machine in scenario.serving}
        self.session = requests.Session()
        self.session.trust_env = False  # a proxy would not be the way of the users

    def get(self, path: str, *, redirected: bool = True) -> requests.Response:
        """Ask for a page; `redirected`, for the one that it leads to."""
        url = urljoin(self._url, path)
        return self.session.get(url, timeout=LIMIT, allow_redirects=redirected)

    def post(
        self,
        path: str,
        data: Mapping[str, str],
        files: Files | None = None,
        *,
        redirected: bool = True,
    ) -> requests.Response:
        """Send a form; raises RuntimeError unless it is taken."""
        url = urljoin(self._url, path)
        answer = self.session.post(
            url, data=data, files=files, timeout=LIMIT, allow_redirects=redirected
        )
        if answer.status_code not in (200, 302, 303):
            raise RuntimeError(f"POST /{path} was answered with {answer.status_code}")
        return answer

    def everywhere(self, path: str, content: bytes) -> tuple[bool, str]:
        """Tell whether every server answers a page with that content, and which ones did."""
        if not path:
            return False, "there is none to read"
        right: set[str] = set()
        wrong: set[str] = set()
        deadline = time.monotonic() + SEEN_SECONDS
        while self._servers - right - wrong and time.monotonic() < deadline:
            answer = self.get(path)
            good = answer.status_code == 200 and content in answer.content
            (right if good else wrong).add(answer.headers.get("X-Served-By", "an unknown server"))
        never = self._servers - right - wrong
        seen = f"read from {', '.join(sorted(right)) or 'none'}"
        seen += f"; not there on {', '.join(sorted(wrong))}" if wrong else ""
        seen += f"; never answered: {', '.join(sorted(never))}" if never else ""
        return not wrong and not never, seen

    def status_when_gone(self, path: str) -> int:
        """Return the status of a page that was removed, 404 also where there was none."""
        status = 404

        def gone(_left: float) -> bool:
            nonlocal status
            status = self.get(path, redirected=False).status_code if path else 404
            return status == 404

        # A server may show for a moment what another removed: the volume's clients cache.
        wait_until(gone, GONE_SECONDS, 0.2)
        return status
