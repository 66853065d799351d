"""Reads an application's source: a directory, a git repository by path or URL, a bundle, a tarball.

Of git, one commit is taken, as `git archive` gives it: nothing of a working tree. What a URL has is
kept beside the scenario's keys, so that a commit is asked for once. Standard library only.
"""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

# What a person may name: nothing that git takes for an option.
REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
COMMIT = re.compile(r"[0-9a-f]{40}")
# gitrevisions(7) has more forms; a URL, or user@host:path as scp writes it.
URL = re.compile(r"[a-z+]+://\S+|[\w.-]+@[\w.-]+:\S+")
FETCH_SECONDS = 120


class SourceError(Exception):
    """Why a source cannot be read, and what to do, as one sentence."""


@dataclass(frozen=True)
class Entry:
    """A file of a source, or a symbolic link when it has a `target`."""

    content: bytes = b""
    executable: bool = False
    target: str = ""


def is_url(source: str) -> bool:
    """Tell whether a source is a git URL and not a path."""
    return bool(URL.fullmatch(source))


def read(source: str, ref: str, root: Path, cache: Path) -> dict[str, Entry]:
    """Return name -> entry of each file; raises SourceError.

    A path is relative to `root`. `cache` is the directory to keep what URLs have.
    """
    path = root / source
    if is_url(source):
        return dict(_from_tar(_archived(_fetched(source, ref, cache), ref, source)))
    if path.is_dir() and ref:
        if not has_commits(source, root):
            raise SourceError(f"{source} is no git repository: remove 'ref' to take it as it is")
        return dict(_from_tar(_archived(path, _resolved(path, ref, source), source)))
    if path.is_dir():
        return dict(_from_directory(path))
    if _is_bundle(path):
        repository = _fetched(str(path), ref or "HEAD", cache)
        return dict(_from_tar(_archived(repository, ref or "HEAD", source)))
    return dict(_from_tarball(path, ref))


def has_commits(source: str, root: Path) -> bool:
    """Tell whether another commit can be taken of a source."""
    path = root / source
    git = path.is_dir() and ((path / ".git").exists() or (path / "objects").is_dir())
    return is_url(source) or git or (path.is_file() and _is_bundle(path))


def _from_directory(top: Path) -> Iterator[tuple[str, Entry]]:
    for path in sorted(top.rglob("*")):
        name = str(path.relative_to(top))
        if path.is_symlink():
            yield name, Entry(target=str(path.readlink()))
        elif path.is_file():
            yield name, Entry(path.read_bytes(), bool(path.stat().st_mode & 0o100))


def _is_bundle(path: Path) -> bool:
    with path.open("rb") as file:
        return bool(re.match(rb"# v\d+ git bundle\n", file.read(20)))


def _git(*words: str | Path, source: str, remedy: str) -> bytes:
    """Run git and answer its output; what fails is one sentence."""
    try:
        done = subprocess.run(
            # Never a question for a password: without an answer it would wait for ever.
            ["git", "-c", "core.askPass=true", *map(str, words)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=FETCH_SECONDS,
        )
    except FileNotFoundError:
        raise SourceError(f"{source} needs the program git: install it") from None
    except subprocess.TimeoutExpired:
        raise SourceError(f"{source} gave no answer in {FETCH_SECONDS} s; {remedy}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        reason = next((line for line in said if line.startswith("fatal: ")), said[-1])
        raise SourceError(f"{source}: {reason.removeprefix('fatal: ').strip()}; {remedy}")
    return done.stdout


def _has(repository: Path, ref: str) -> bool:
    words = ["git", "-C", str(repository), "cat-file", "-e", f"{ref}^{{commit}}"]
    return not subprocess.run(words, capture_output=True).returncode


def _fetched(source: str, ref: str, cache: Path) -> Path:
    """Return a repository of ours that has the commit `ref` of a URL or bundle."""
    # The same bundle file may come to hold something else; a commit never does.
    repository = cache / f"{sha256(source.encode()).hexdigest()[:12]}.git"
    remedy = "give a local clone, a git bundle or a tarball as 'source'"
    if not repository.exists():
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        _git("init", "-q", "--bare", repository, source=source, remedy=remedy)
    if not (COMMIT.fullmatch(ref) and _has(repository, ref)):
        refs = ("+HEAD:refs/heads/HEAD", "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        words = ("-C", repository, "fetch", "-q", "--no-auto-gc", source)
        try:
            _git(*words, *refs, source=source, remedy=remedy)
        except SourceError as error:
            # A bundle need not have a HEAD.
            if "HEAD" not in str(error):
                raise
            _git(*words, *refs[1:], source=source, remedy=remedy)
    return repository


def _resolved(repository: Path, ref: str, source: str) -> str:
    for name in (ref, f"refs/heads/{ref}", f"refs/remotes/origin/{ref}"):
        if _has(repository, name):
            return name
    raise SourceError(
        f"{source} has no commit, tag or branch {ref}: fetch it there, or correct 'ref'"
    )


def _archived(repository: Path, ref: str, source: str) -> bytes:
    name = "refs/heads/HEAD" if ref == "HEAD" else ref
    if not _has(repository, name):
        raise SourceError(f"{source} has no commit, tag or branch {ref}: correct 'ref'")
    words = ("-C", repository, "archive", "--format=tar", name)
    return _git(*words, source=source, remedy="it is damaged: clone it again")


def _from_tar(data: bytes) -> Iterator[tuple[str, Entry]]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        yield from _members(archive)


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, Entry]]:
    for member in archive:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise SourceError(f"the archive holds {member.name}, outside of itself")
        if member.issym():
            yield str(path), Entry(target=member.linkname)
        elif member.isfile() and (file := archive.extractfile(member)):
            yield str(path), Entry(file.read(), bool(member.mode & 0o100))


def _from_tarball(path: Path, ref: str) -> Iterator[tuple[str, Entry]]:
    """Return a tarball's files without the one directory that all may lie in."""
    try:
        with tarfile.open(path) as archive:
            # git archive notes its commit in the header: git-get-tar-commit-id(1).
            commit = archive.pax_headers.get("comment", "")
            files = dict(_members(archive))
    except (tarfile.TarError, OSError, EOFError) as error:
        raise SourceError(
            f"{path} is no directory, git bundle or tarball that can be read ({error})"
        ) from None
    if ref and COMMIT.fullmatch(commit) and not commit.startswith(ref):
        raise SourceError(f"{path} is of commit {commit}, not {ref}: correct 'ref', or the tarball")
    tops = {PurePosixPath(name).parts[0] for name in files}
    if len(tops) == 1 and all(len(PurePosixPath(name).parts) > 1 for name in files):
        (top,) = tops
        files = {name.removeprefix(f"{top}/"): entry for name, entry in files.items()}
    yield from files.items()
