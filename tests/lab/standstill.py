"""Runs fab or invoke as a person does, but stands still at a named step, to be cut off right there.

    python -m tests.lab.standstill '["s4 enable and start crm"]' invoke add-server --name s4

A step is told by words of "MACHINE SUMMARY", as deploy prints them, of "MACHINE confirms SUMMARY",
of what a lab task says, or of "create MACHINE" and "start MACHINE", by which the lab makes one.
What a machine does itself, it never does: its script stands still there until its deployer is gone,
and ends. What is done on this computer stands still at its beginning, and goes on after a line on
standard input. Of the steps named behind the first, which others may come to at the same time,
none is begun.
"""

import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace

from fabfile.engine import script
from fabfile.engine.change import Change
from fabfile.engine.remote import MachineError, Remote
from fabfile.lab import actions, machines
from fabfile.operations.progress import Progress

LIMIT = 300  # seconds, for what is forgotten
STANDS = "@@ stands still at "
# A machine learns by writing that nobody reads any more.
STAND = f"""
end=$(( $(date +%s) + {LIMIT} ))
while [ "$(date +%s)" -lt "$end" ]; do echo; sleep 0.1; done
echo 'nobody has cut this off'
exit 1
"""


class Standstill:
    """The step to stand still at, and those not to begin, put into the place of the real ones."""

    def __init__(self, step: str, *behind: str) -> None:
        self._stop, self._behind = step, behind
        self._on_machines: set[str] = set()
        self._go_on = threading.Event()
        self._originals = script.apply, Progress.step, actions.say, script.confirm
        script.apply = self._apply
        script.confirm = self._confirm
        Progress.step = lambda *step: self._told(*step)
        actions.say = self._said
        for verb in ("create", "start"):
            setattr(machines, verb, self._before(verb, getattr(machines, verb)))
        threading.Thread(target=self._await_line, daemon=True).start()

    def _await_line(self) -> None:
        sys.stdin.readline()
        self._go_on.set()

    def _is_behind(self, text: str) -> bool:
        return any(step in text for step in self._behind)

    def _apply(self, remote: Remote, changes: list[Change], *rest: object) -> None:
        for number, change in enumerate(changes):
            text = f"{remote.name} {change.summary}"
            if self._stop in text:
                self._on_machines.add(text)
                changes = [*changes[:number], replace(change, script=STAND)]
                break
            if self._is_behind(text):
                # Nothing waits on the machine: it does one script at a time.
                if number:
                    self._originals[0](remote, changes[:number], *rest)
                self._go_on.wait(LIMIT)
                raise MachineError(remote.name, "nobody has cut this off")
        self._originals[0](remote, changes, *rest)

    def _confirm(self, remote: Remote, change: Change) -> None:
        self._reached(f"{remote.name} confirms {change.summary}")
        self._originals[3](remote, change)

    def _told(self, progress: Progress, machine: str, stage: str, summary: str) -> None:
        self._originals[1](progress, machine, stage, summary)
        self._reached(f"{machine} {summary}")

    def _said(self, text: str) -> None:
        self._originals[2](text)
        self._reached(" ".join(text.split()))

    def _before(self, verb: str, original: Callable) -> Callable:
        def work(scenario: object, machine: machines.Machine, *rest: object) -> None:
            self._reached(f"{verb} {machine.name}")
            original(scenario, machine, *rest)

        return work

    def _reached(self, text: str) -> None:
        if self._stop in text:
            # At one go: other threads print, too.
            os.write(sys.stdout.fileno(), f"{STANDS}{self._stop}\n".encode())
        if text not in self._on_machines and (self._stop in text or self._is_behind(text)):
            self._go_on.wait(LIMIT)


def main() -> None:
    """Run the program on its words, and end as it does."""
    # The background jobs of a shell, and all that they start, ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    steps, name, *words = sys.argv[1:]
    Standstill(*json.loads(steps))
    sys.argv = [name, *words]
    main = {"fab": "fabric.main", "invoke": "invoke.main"}[name]
    sys.exit(importlib.import_module(main).program.run())


if __name__ == "__main__":
    main()
