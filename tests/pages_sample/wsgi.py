"""An application of two pages, for the tests: /page fails as long as the file BROKEN is there."""

from collections.abc import Callable, Iterable
from pathlib import Path

BROKEN = Path("/run/pages-sample-broken")


def app(environ: dict, start: Callable) -> Iterable[bytes]:
    """Answer any page with a word, as WSGI has it (PEP 3333)."""
    broken = environ["PATH_INFO"] == "/page" and BROKEN.exists()
    start("500 Internal Server Error" if broken else "200 OK", [("Content-Type", "text/plain")])
    return [b"broken\n" if broken else b"fine\n"]
