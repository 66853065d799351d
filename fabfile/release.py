"""An application's release: an archive of its source, named by its content."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from fabfile.scenario import Application, Scenario


def identifier(scenario: Scenario) -> str:
    """Answer the name of the release: the first digits of its content's SHA-256."""
    application = scenario.application
    return _packed(application.source, application.exclude, application.build)[0]


def archive(scenario: Scenario) -> bytes:
    """Answer the release as .tar.gz; the same source gives the same bytes."""
    application: Application = scenario.application
    return _packed(application.source, application.exclude, application.build)[1]


@cache
def _packed(source: Path, exclude: tuple[str, ...], build: str) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    # No time stamps: they would make a new release of an old content.
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in sorted(source.rglob("*")):
            relative = path.relative_to(source)
            if any(fnmatch(part, pattern) for part in relative.parts for pattern in exclude):
                continue
            entry = tarfile.TarInfo(str(relative))
            if path.is_symlink():
                entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
                tar.addfile(entry)
            elif path.is_file():
                entry.size = path.stat().st_size
                entry.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
                tar.addfile(entry, io.BytesIO(path.read_bytes()))
    content = buffer.getvalue()
    return hashlib.sha256(build.encode() + b"\0" + content).hexdigest()[:12], content
