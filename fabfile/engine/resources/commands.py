"""Commands that bring about what no other resource describes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from fabfile.engine.change import Change, Payload, Refused
from fabfile.engine.resources.pending import is_pending, print_pending
from fabfile.engine.survey import Survey


@dataclass(frozen=True)
class Never:
    """A shell condition that must not hold before anything is changed; it changes nothing.

    `reads` are the surveys in whose variables it looks.
    """

    condition: str
    sentence: str
    reads: tuple[Survey, ...] = ()

    @property
    def key(self) -> str:
        """The name by which others wait for this resource."""
        return self.sentence

    @property
    def surveys(self) -> Sequence[tuple[Survey, str]]:
        """What its probe reads."""
        return [(survey, "") for survey in self.reads]

    def probe(self) -> str:
        """Print `holds` when it does."""
        return f"if {{ {self.condition}\n}} >&2; then echo holds; fi"

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Change nothing; raises Refused when the condition holds."""
        if "holds" in facts.splitlines():
            raise Refused(self.sentence)
        return None


@dataclass(frozen=True)
class Run:
    """A shell script, run unless the shell condition `unless` holds, or when `after` changed.

    `name` says what it does, as "create the volume nas": it stands in plans and reports.
    `unless` is the whole definition of done: it is probed, and tried again before the script
    runs, and once more after it: a script that did not bring it about has failed. `told` is a
    survey and the line in it that says as much, which is probed in its place. `confirm` is run
    over a new connection, when all of the stage is done; what must be confirmed is on trial until
    then, so `unless` holds only after it, and the script always runs.
    """

    name: str
    script: str
    unless: str
    after: tuple[str, ...] = ()
    files: Mapping[str, Payload] = field(default_factory=dict)
    seconds: float = 120
    confirm: str = ""
    told: tuple[Survey, str] | None = None

    @property
    def key(self) -> str:
        """The name by which others wait for this resource."""
        return self.name

    @property
    def surveys(self) -> Sequence[tuple[Survey, str]]:
        """What its probe reads."""
        return ((self.told[0], ""),) if self.told else ()

    @property
    def is_done(self) -> str:
        """The shell condition that is probed."""
        if not self.told:
            return self.unless
        survey, line = self.told
        return f'has_line "${survey.variable}" {shlex.quote(line)}'

    def probe(self) -> str:
        """Print `done` when there is nothing to do, `pending` when a killed run left it."""
        return f"{print_pending(self.name)}\nif {{ {self.is_done}\n}} >&2; then echo done; fi"

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Run it if the condition does not hold or something it follows from has changed."""
        lines, causes = facts.splitlines(), changed & {*self.after}
        follows = bool(causes) or is_pending(lines)
        return None if "done" in lines and not follows else self.change(causes, follows)

    def change(self, causes: Set[str] = frozenset(), anyway: bool = False) -> Change:
        """Return the change that runs it; `anyway` does so even where the condition holds."""
        anyway = anyway or bool(self.confirm)
        guard = "" if anyway else f"if {{ {self.unless}\n}} >/dev/null 2>&1; then exit 0; fi\n"
        failed = "{ echo 'it ran, but what it is for does not hold'; exit 1; }"
        proof = "" if self.confirm else f"\n{{ {self.unless}\n}} || {failed}"
        return Change(
            self.key,
            self.name,
            guard + self.script + proof,
            files=self.files,
            marker=self.name if self.after else "",
            causes=causes,
            seconds=self.seconds,
            confirm=self.confirm,
        )
