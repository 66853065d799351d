"""Builds the two scripts a machine gets, one that looks and one that changes, and reads them."""

from __future__ import annotations

import io
import secrets
import shlex
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fabfile.engine.change import Change, Resource
from fabfile.engine.remedies import remedy
from fabfile.engine.remote import MachineError, Output, Remote
from fabfile.engine.resources.pending import DIRECTORY, mark
from fabfile.engine.survey import surveyed
from fabfile.engine.waiting import AWAIT

STATE = "/var/lib/crm-deployer"
# How many of the last lines of a step that failed are shown.
LINES = 15
# os-release(5): prints "debian 12", or an empty line where nothing is said.
SYSTEM = "( . /etc/os-release; echo $ID $VERSION_ID ) 2>/dev/null || echo"
# One script at a time on a machine: a second deployer, or one whose first run was killed here,
# waits for the first. The input is taken whole before anything runs. A run that was killed while
# it waited dies here of its closed output, before it sets marks for what it will not do.
RECEIVE = f"""
umask 077
mkdir -p {STATE} {DIRECTORY} && exec 9>{STATE}/lock || exit 1
flock -w 300 9 || {{ echo 'another run has held {STATE}/lock for 300 s'; exit 75; }}
echo '@@begins' || exit 1
rm -rf {STATE}/payload
mkdir {STATE}/payload && tar -xf - -C {STATE}/payload || exit 1
umask 022
sh {STATE}/payload/script </dev/null
code=$?
rm -rf {STATE}/payload
exit $code"""


def probe(remote: Remote, resources: Sequence[Resource]) -> tuple[str, list[str]]:
    """Return what system it is, and the facts of each resource, with one round trip."""
    token = secrets.token_hex(8)
    surveys, *probes = questions(resources)
    # No shell of its own for each: to fork costs a machine more than most probes.
    parts = [f"echo '@@{token}'\n{{\n{probe}\n}} </dev/null 2>/dev/null" for probe in probes]
    output = remote.run("\n".join([SYSTEM, surveys, *parts, f"echo; echo '@@{token}'"]))
    system, *facts = output.text.split(f"@@{token}\n")
    if len(facts) != len(resources) + 1:
        tail = " | ".join(output.text.strip().splitlines()[-3:])
        raise MachineError(remote.name, f"its state could not be read: {tail}")
    return system.strip(), facts[:-1]


def questions(resources: Sequence[Resource]) -> list[str]:
    """Return all that is asked of a machine about resources: their surveys, then each probe."""
    return [surveyed(resources), *(resource.probe() for resource in resources)]


@dataclass(frozen=True)
class Failure:
    """The step that failed on a machine: what it was, its exit code, and what it said."""

    summary: str
    code: int
    lines: Sequence[str]

    def __str__(self) -> str:
        helps = remedy("\n".join(self.lines))
        said = "".join(f"\n    {line}" for line in self.lines[-LINES:])
        failed = f"'{self.summary}' failed with exit code {self.code}"
        return f"{failed}: {helps}{said}" if helps else f"{failed}{said}"


class StepFailed(MachineError):
    """A change that a machine made in vain: it ran to its end, and failed."""


def apply(
    remote: Remote,
    changes: Sequence[Change],
    markers: Sequence[str],
    on_step: Callable[[str], None],
) -> None:
    """Make the changes with one upload and one script; `on_step` gets each one's summary.

    It also gets what a script tells by its function `say`.

    `markers` name the changes that follow from these and are still due on this machine. Raises
    StepFailed with the step that failed and the last lines it printed, MachineError when the
    machine is lost.
    """
    token = secrets.token_hex(8)
    step = -1
    lines: list[str] = []

    def read(line: str) -> None:
        nonlocal step
        if line.startswith(f"@@{token} say "):
            on_step(line.split(" ", 2)[2])
        elif line.startswith(f"@@{token} "):
            step = int(line.split()[1])
            lines.clear()
            on_step(changes[step].summary)
        else:
            lines.append(line)

    archive = _archive(_script(changes, markers, token), changes)
    seconds = 300 + sum(change.seconds for change in changes)
    output: Output = remote.pipe(RECEIVE, archive, seconds=seconds, on_line=read)
    if output.code:
        summary = changes[step].summary if step >= 0 else "receive the changes"
        said = [line for line in lines if not line.startswith("@@")]
        raise StepFailed(remote.name, str(Failure(summary, output.code, said)))
    for change in changes:
        if change.confirm:
            confirm(remote, change)


def confirm(remote: Remote, change: Change) -> None:
    """Run what confirms a change over a connection of its own: the old one proves nothing."""
    fresh = Remote(remote.name, remote.login)
    try:
        output = fresh.run(change.confirm)
    except MachineError as error:
        sentence = f"'{change.summary}' let no new connection in and undoes itself"
        raise MachineError(remote.name, f"{sentence}: {error.sentence}") from error
    finally:
        fresh.close()
    if output.code:
        said = output.text.strip().splitlines()
        raise MachineError(remote.name, str(Failure(f"keep: {change.summary}", output.code, said)))


def _script(changes: Sequence[Change], markers: Sequence[str], token: str) -> str:
    parts = [AWAIT, f'say() {{ echo "@@{token} say $*"; }}']
    parts += [f": > {shlex.quote(mark(name))}" for name in markers]
    for number, change in enumerate(changes):
        done = f"rm -f {shlex.quote(mark(change.marker))}" if change.marker else ":"
        parts.append(
            f"echo '@@{token} {number}'\n"
            f"( set -e; payload={STATE}/payload/{number}\n{change.script}\n) 2>&1; code=$?\n"
            f'[ "$code" = 0 ] || exit "$code"\n{done}'
        )
    return "\n".join(parts) + "\n"


def _archive(script: str, changes: Sequence[Change]) -> bytes:
    """Return a tar archive of the script and of each change's files, under its number."""
    files = {"script": script.encode()}
    for number, change in enumerate(changes):
        for name, content in change.files.items():
            files[f"{number}/{name}"] = content if isinstance(content, bytes) else content()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o600
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
