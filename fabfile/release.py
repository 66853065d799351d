"""An application's release: an archive of its source, named by its content."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import shlex
import tarfile
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from threading import Lock

from fabfile.engine.remote import MachineError, Remote
from fabfile.scenario import Application, Machine, Scenario

_fetching = Lock()


def identifier(scenario: Scenario) -> str:
    """Answer the name of the release: the first digits of its content's SHA-256, unless pinned."""
    if scenario.pinned:
        return scenario.pinned.release
    application = scenario.application
    return _packed(application.source, application.exclude, application.build)[0]


def archive(scenario: Scenario) -> bytes:
    """Answer the release as .tar.gz; the same source gives the same bytes."""
    application: Application = scenario.application
    return _packed(application.source, application.exclude, application.build)[1]


def fetch(builder: Machine, directory: str) -> bytes:
    """Answer a built release as .tar.gz from the machine that built it; asked for once only.

    Raises MachineError when the machine does not have it.
    """
    with _fetching:
        return _fetched(builder.name, builder.login, directory)


@cache
def _fetched(name: str, login: object, directory: str) -> bytes:
    remote = Remote(name, login)
    try:
        answer = remote.run(
            "file=$(mktemp) && trap 'rm -f $file' EXIT && "
            f'tar -C {shlex.quote(directory)} -czf "$file" . && base64 -w0 "$file"',
            seconds=300,
        )
    finally:
        remote.close()
    if answer.code:
        raise MachineError(name, f"the release in {directory} could not be read: {answer.text}")
    return base64.b64decode(answer.text)


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
