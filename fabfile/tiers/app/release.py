"""An application's release: an archive of its source and our files, named by its content."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import shlex
import tarfile
from fnmatch import fnmatch
from functools import cache
from pathlib import Path, PurePosixPath
from threading import Lock

from invoke.exceptions import Exit

from fabfile.engine.remote import MachineError, Remote
from fabfile.scenario import ROOT, Application, Login, Machine, Scenario
from fabfile.tiers.app import sources
from fabfile.tiers.app.sources import Entry, SourceError

# Private to the service, see PrivateTmp= in systemd.exec(5).
TEMPORARY = "/tmp"
_fetching = Lock()


def identifier(scenario: Scenario) -> str:
    """Return the name of the release: the first digits of its content's SHA-256, unless pinned.

    Raises Exit with a sentence when the source cannot be read.
    """
    return scenario.pinned.release if scenario.pinned else _release(scenario)[0]


def archive(scenario: Scenario) -> bytes:
    """Return the release as .tar.gz; the same source gives the same bytes."""
    return _release(scenario)[1]


def home(name: str) -> str:
    """Return the directory of an application on a server: its releases, and `current`."""
    return f"/srv/{name}"


def fetch(builder: Machine, directory: str) -> bytes:
    """Return a built release as .tar.gz from the machine that built it; asked for once only.

    Raises MachineError when the machine does not have it.
    """
    with _fetching:
        return _fetched(builder.name, builder.ssh, directory)


@cache
def _fetched(name: str, login: Login, directory: str) -> bytes:
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


def _release(scenario: Scenario) -> tuple[str, bytes]:
    application = scenario.application
    # What is made of a source stays so for as long as this program runs.
    key = repr((application, scenario.state))
    if key not in _made:
        try:
            _made[key] = _packed(application, scenario.state / "sources")
        except SourceError as error:
            raise Exit(f"{error}.\nNothing was changed.", 1) from None
    return _made[key]


_made: dict[str, tuple[str, bytes]] = {}


def _packed(application: Application, cache: Path) -> tuple[str, bytes]:
    entries = sorted(_entries(application, cache).items())
    digest = hashlib.sha256(repr((application.build, entries)).encode()).hexdigest()
    buffer = io.BytesIO()
    # The time of all files follows from the content: the real one would make a new release of an
    # old content, and with the same one in all releases, a browser that asks whether a file has
    # changed since is told that it has not.
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, entry in entries:
            info = tarfile.TarInfo(name)
            info.mtime = int(digest[:7], 16)
            if entry.target:
                info.type, info.linkname = tarfile.SYMTYPE, entry.target
            else:
                info.size = len(entry.content)
                info.mode = 0o755 if entry.executable else 0o644
            tar.addfile(info, io.BytesIO(entry.content))
    return digest[:12], buffer.getvalue()


def _entries(application: Application, cache: Path) -> dict[str, Entry]:
    """Return all that a release holds before it is built."""
    links = {name: TEMPORARY for name in application.temporary}
    if application.uploads:
        links[application.uploads] = f"{home(application.name)}/uploads"
    given = sources.read(application.source, application.ref, ROOT, cache)
    kept = {
        name: entry
        for name, entry in given.items()
        if not _excluded(name, application.exclude)
        and not any(PurePosixPath(name).is_relative_to(link) for link in links)
    }
    ours = {name: Entry(path.read_bytes()) for name, path in application.files.items()}
    return {**kept, **ours, **{name: Entry(target=target) for name, target in links.items()}}


def _excluded(name: str, patterns: tuple[str, ...]) -> bool:
    parts = PurePosixPath(name).parts
    return any(fnmatch(part, pattern) for part in parts for pattern in patterns)
