"""An application's release: an archive of its source and our files, named by its content."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import re
import shlex
import tarfile
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path, PurePosixPath
from threading import Lock

from fabfile.engine.remote import MachineError, Remote
from fabfile.scenario import ROOT, Login, Machine, Scenario
from fabfile.tiers.app import sources
from fabfile.tiers.app.sources import Entry

# Private to the service, see PrivateTmp= in systemd.exec(5).
TEMPORARY = "/tmp"
# Programs for this processor and C library, and what pip has put where one Python looks for it.
NATIVE = re.compile(r"\.(node|so(\.\d+)*)$|/python3\.\d+/site-packages/.")
_fetching = Lock()


def identifier(scenario: Scenario) -> str:
    """Return the name of the release: the first digits of its content's SHA-256, unless pinned.

    Raises SourceError when the source cannot be read.
    """
    return scenario.pinned.release if scenario.pinned else made(_recipe(scenario))[0]


def archive(scenario: Scenario) -> bytes:
    """Return the release as .tar.gz; the same source gives the same bytes. Raises SourceError."""
    return made(_recipe(scenario))[1]


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
            # In lines: one of 60 MB, as Python environments make, takes minutes to be read.
            "file=$(mktemp) && trap 'rm -f $file' EXIT && "
            f'tar -C {shlex.quote(directory)} -czf "$file" . && base64 -w 30000 "$file"',
            seconds=300,
        )
    finally:
        remote.close()
    if answer.code:
        raise MachineError(name, f"the release in {directory} could not be read: {answer.text}")
    return base64.b64decode(answer.text)


def native(archive: bytes) -> str:
    """Return a file of a built release (.tar.gz) that one version of Debian alone runs, or ""."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        return next((name for name in tar.getnames() if NATIVE.search(name)), "")


@dataclass(frozen=True)
class Recipe:
    """All that a release is made from. `links` and `files` are by their name in the release.

    `kept` is the directory of this computer that keeps what git URLs have.
    """

    source: str
    ref: str
    build: str
    exclude: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, Path], ...]
    kept: Path


def _recipe(scenario: Scenario) -> Recipe:
    application = scenario.application
    links = {name: TEMPORARY for name in application.temporary}
    if application.uploads:
        links[application.uploads] = f"{home(application.name)}/uploads"
    return Recipe(
        application.source,
        application.ref,
        application.build,
        application.exclude,
        tuple(links.items()),
        tuple(application.files.items()),
        scenario.state / "sources",
    )


@cache
def made(recipe: Recipe) -> tuple[str, bytes]:
    """Return a release's name and its .tar.gz: what they are at first, until the program ends."""
    entries = sorted(_entries(recipe).items())
    digest = hashlib.sha256(repr((recipe.build, entries)).encode()).hexdigest()
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


def _entries(recipe: Recipe) -> dict[str, Entry]:
    """Return all that a release holds before it is built."""
    links = {name: Entry(target=target) for name, target in recipe.links}
    given = sources.read(recipe.source, recipe.ref, ROOT, recipe.kept)
    kept = {
        name: entry
        for name, entry in given.items()
        if not _excluded(name, recipe.exclude)
        and not any(PurePosixPath(name).is_relative_to(link) for link in links)
    }
    ours = {name: Entry(path.read_bytes()) for name, path in recipe.files}
    return {**kept, **ours, **links}


def _excluded(name: str, patterns: tuple[str, ...]) -> bool:
    parts = PurePosixPath(name).parts
    return any(fnmatch(part, pattern) for part in parts for pattern in patterns)
