"""Files, directories, links and unpacked archives."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from fabfile.engine.change import Change, unified
from fabfile.engine.survey import Survey

# Above this size (bytes) a differing file is reported without its content.
DIFF_BYTES = 262_144
RIGHTS = "%F|%a %U %G"
LOOKS = Survey("looks", f"timeout 5 stat -c '{RIGHTS}|%n' --")
DIGESTS = Survey("digests", "sha256sum --")


def _look(path: str) -> str:
    """Return shell that prints type, mode, owner and group, as "directory|755 root root"."""
    return f'line_of "$looks" {shlex.quote(f"|{path}")}'


@dataclass(frozen=True)
class File:
    """A file with this content, mode and owner, replaced in one step.

    `check` is a command that must accept the new content before it replaces the old one, with {}
    for its path. The content of a `secret` file is shown in no plan.
    """

    path: str
    content: str
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    check: str = ""
    secret: bool = False

    @property
    def key(self) -> str:
        """The name by which others wait for this resource."""
        return self.path

    @property
    def _rights(self) -> str:
        return f"regular file|{self.mode:o} {self.owner} {self.group}"

    @property
    def _digest(self) -> str:
        return hashlib.sha256(self.content.encode()).hexdigest()

    @property
    def surveys(self) -> Sequence[tuple[Survey, str]]:
        """What its probe reads."""
        return (LOOKS, self.path), (DIGESTS, self.path)

    def probe(self) -> str:
        """Print type and rights, SHA-256, and the content when it is not what it should be."""
        path = shlex.quote(self.path)
        show = "" if self.secret else f"head -c {DIFF_BYTES} {path} | base64 -w0"
        return (
            f"{_look(self.path)}\n"
            f'line_of "$digests" {shlex.quote(f"  {self.path}")}\n'
            f'case $found in "" | {self._digest}) ;; *) {show or ":"} ;; esac'
        )

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Write the file if its type, rights or content differ."""
        # An empty file is a type of its own to stat.
        lines = facts.replace("regular empty file", "regular file").splitlines()
        rights, digest = (*lines, "", "")[:2]
        if rights == self._rights and digest == self._digest:
            return None
        what = f"rights of {self.path}: {rights.partition('|')[2]} -> {self._rights.split('|')[1]}"
        if digest != self._digest:
            what = f"{'change' if digest else 'create'} {self.path}"
        return Change(
            self.key,
            what,
            self._script(),
            diff="" if digest == self._digest else self._diff(facts),
            files={"file": self.content.encode()},
        )

    def content_of(self, facts: str) -> str:
        """Return the content that facts tell of, "" when they tell none: see `probe`."""
        encoded = (*facts.splitlines(), "", "", "")[2]
        return base64.b64decode(encoded).decode(errors="replace")

    def _diff(self, facts: str) -> str:
        if self.secret:
            return f"--- {self.path}: it holds secrets, its content is not shown"
        return unified(self.path, self.content_of(facts), self.content)

    def _script(self) -> str:
        path = shlex.quote(self.path)
        directory, _, name = self.path.rpartition("/")
        new = shlex.quote(f"{directory}/.{name}.new")
        install = (
            f'install -D -m {self.mode:04o} -o {self.owner} -g {self.group} "$payload/file" {new}'
        )
        check = (
            f"{self.check.replace('{}', new)} || {{ rm -f {new}; exit 1; }}\n" if self.check else ""
        )
        return f"{install}\n{check}mv -fT {new} {path}"


@dataclass(frozen=True)
class Directory:
    """A directory with this mode and owner.

    `within` must be a mounted file system, if named. `whole` is a shell condition that holds when
    all that is on it can be seen: before, a directory that is missing is awaited, and not made.
    """

    path: str
    mode: int = 0o755
    owner: str = "root"
    group: str = "root"
    within: str = ""
    whole: str = "true"

    @property
    def key(self) -> str:
        """The name by which others wait for this resource."""
        return self.path

    @property
    def surveys(self) -> Sequence[tuple[Survey, str]]:
        """What its probe reads."""
        return () if self.within else ((LOOKS, self.path),)

    def probe(self) -> str:
        """Print type and rights."""
        # On a file system that hangs, it is asked for alone: the others get their answers.
        alone = f"timeout 5 stat -c '{RIGHTS}' {shlex.quote(self.path)}"
        return alone if self.within else _look(self.path)

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Create the directory or repair its rights."""
        if facts.strip() == f"directory|{self.mode:o} {self.owner} {self.group}":
            return None
        path = shlex.quote(self.path)
        script = f"install -d -m {self.mode:04o} -o {self.owner} -g {self.group} {path}"
        if self.within:
            # One that comes back in this run may take seconds until it answers, has all of it, and
            # takes files.
            seen = f"{{ stat {path} >/dev/null 2>&1 || {{ {self.whole}; }}; }}"
            made = f"mountpoint -q {shlex.quote(self.within)} && {seen} && {script}"
            what = f"{self.within} to be mounted, and all that is on it to be seen"
            script = f"await 60 {shlex.quote(what)} {shlex.quote(made)}"
        what = "rights of" if facts.startswith("directory|") else "create"
        return Change(self.key, f"{what} {self.path}/", script)


@dataclass(frozen=True)
class Link:
    """A symbolic link, switched in one step."""

    path: str
    target: str

    @property
    def key(self) -> str:
        """The name by which others wait for this resource."""
        return self.path

    def probe(self) -> str:
        """Print where the link points."""
        return f"readlink {shlex.quote(self.path)}"

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Point the link at its target."""
        return None if facts.strip() == self.target else self.switching()

    def switching(self) -> Change:
        """Return the change that points the link at its target, wherever it points now."""
        path, new = shlex.quote(self.path), shlex.quote(self.path + ".new")
        script = f"ln -sfn {shlex.quote(self.target)} {new}\nmv -fT {new} {path}"
        return Change(self.key, f"point {self.path} at {self.target}", script)


@dataclass(frozen=True)
class Unpacked:
    """A directory that holds what a .tar.gz archive does, owned by root; complete or not there.

    `archive` answers the bytes, and is asked only when they are needed. `build` is a shell line
    run in the directory, as `user` with this environment and no other, before it takes its name.
    When that fails, the shell `explain` prints what else there is to know.
    """

    path: str
    archive: Callable[[], bytes]
    build: str = ""
    user: str = "root"
    environment: Mapping[str, str] = field(default_factory=dict)
    explain: str = ":"

    @property
    def key(self) -> str:
        """The name by which others wait for this resource."""
        return self.path

    def probe(self) -> str:
        """Print `there` when the directory is."""
        return f"[ -d {shlex.quote(self.path)} ] && echo there"

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Unpack the archive under another name and rename it."""
        if facts.strip() == "there":
            return None
        path, new = shlex.quote(self.path), shlex.quote(self.path + ".new")
        script = (
            # Another run, or one that was killed here and went on there, was faster.
            f"[ ! -d {path} ] || exit 0\n"
            # What fails leaves nothing: the next attempt may well have another name.
            f"rm -rf {new}\ntrap {shlex.quote(f'rm -rf {new}')} EXIT\nmkdir -p {new}\n"
            f'tar -xzf "$payload/archive" -C {new} --no-same-owner --no-same-permissions\n'
        )
        if self.build:
            line = shlex.quote(f"cd {new} && {self.build}")
            variables = " ".join(f"{key}={shlex.quote(v)}" for key, v in self.environment.items())
            script += (
                f"chown -hR {self.user}: {new}\n"
                f"runuser -u {self.user} -- env -i {variables} sh -c {line} || "
                f"{{ code=$?\n{self.explain}\nexit $code; }}\n"
                f"chown -hR root: {new}\n"
            )
        script += f"chmod -R u=rwX,go=rX {new}\nmv -T {new} {path}"
        what = "build" if self.build else "unpack"
        return Change(
            self.key, f"{what} {self.path}/", script, files={"archive": self.archive}, seconds=600
        )
