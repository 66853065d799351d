"""HAProxy while it runs: its file and its process say the same, and clients notice no change.

The commands are those of HAProxy 2.6, management guide, section 9.3. A server that is added at
runtime ignores `default-server`, so its options are spelled out; it is forgotten at a reload, so
the file has it, too. What differs in anything but the servers needs a reload.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from fabfile.engine.change import Change
from fabfile.engine.remote import MachineError, Remote
from fabfile.engine.resources import File
from fabfile.engine.waiting import AWAIT

# In the file and at runtime: two failures take a server out, two successes back.
CHECK = "check inter 1s fall 2 rise 2"
UP_SECONDS = 30
# What moves nothing for 30 s HAProxy ends by itself; this is for what goes on slowly.
DRAIN_SECONDS = 600
# After so many, a person wants to know what is awaited.
QUIET_SECONDS = 30
# Bits of srv_admin_state, section 9.3 at "show servers state". 0x04 only remembers that the file
# once said `disabled`; it stays when the server is made ready.
MAINTENANCE, DRAIN = 0x01, 0x08
SERVER = "    server "
FUNCTIONS = Path(__file__).with_suffix(".sh").read_text()
# What is awaited runs in a shell of its own, which gets the functions by their text.
LIBRARY = f'{AWAIT}functions={shlex.quote(FUNCTIONS)}\neval "$functions"\n'


class Configuration(File):
    """HAProxy's file. When it only gains, loses or sets aside servers, its key is `servers_key`.

    What must reload HAProxy waits for `key`, which changes with anything else in the file.
    """

    @property
    def servers_key(self) -> str:
        """The name of a change to the list of servers alone."""
        return f"{self.path} (servers)"

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Write the file if it differs, as any other."""
        change, now = super().plan(facts, changed), self.content_of(facts)
        if change and now and _settings(now, self.content) == _settings(self.content, now):
            return replace(change, key=self.servers_key)
        return change


def _settings(text: str, other: str) -> list[str]:
    """Return the lines of a file without the servers that the other does not have."""
    names = {line.split()[1] for line in other.splitlines() if line.startswith(SERVER)}
    return [
        line.removesuffix(" disabled")
        for line in text.splitlines()
        if not line.startswith(SERVER) or line.split()[1] in names
    ]


@dataclass(frozen=True)
class Servers:
    """The servers of the running HAProxy: name -> (address, is in maintenance).

    A process that starts, or reloads after a change of `reloading`, reads them in its file.
    """

    wanted: Mapping[str, tuple[str, bool]]
    reloading: tuple[str, ...] = ()
    key: str = "servers of the running HAProxy"

    def probe(self) -> str:
        """Print backend, name, address and administrative state of each server."""
        return f"{LIBRARY}states"

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Add, remove, set aside and take back servers, without a reload."""
        running: dict[str, dict[str, tuple[str, int]]] = {}
        rows = [line.split() for line in facts.splitlines() if line]
        for backend, name, address, state in rows:
            running.setdefault(name, {})[backend] = (address, int(state))
        if not running or changed & {*self.reloading}:
            return None
        backends = {backend for backend, *_ in rows}
        words: list[str] = []
        steps: list[str] = []
        for name, (address, aside) in self.wanted.items():
            there = running.get(name, {})
            states = [state for _, state in there.values()]
            if {*there} != backends or {where for where, _ in there.values()} != {address}:
                words.append(f"{'move' if there else 'add'} {name}")
                steps += [f"remove {name} {DRAIN_SECONDS}"] if there else []
                steps += [f"add {name} {address} '{CHECK}'"]
                steps += [] if aside else [f"ready {name} {UP_SECONDS}"]
            elif aside and not all(state & MAINTENANCE for state in states):
                words.append(f"set {name} aside")
                steps.append(f"maintain {name} {DRAIN_SECONDS}")
            elif not aside and any(state & (MAINTENANCE | DRAIN) for state in states):
                words.append(f"put {name} back in service")
                steps.append(f"ready {name} {UP_SECONDS}")
        for name in running.keys() - self.wanted.keys():
            words.append(f"remove {name}")
            steps.append(f"remove {name} {DRAIN_SECONDS}")
        if not steps:
            return None
        return Change(
            self.key,
            f"in the running HAProxy: {', '.join(words)}",
            LIBRARY + "\n".join(steps),
            seconds=(UP_SECONDS + DRAIN_SECONDS) * len(steps),
        )


def statuses(remote: Remote) -> dict[str, str]:
    """Return what the balancer thinks of each server, as UP, DOWN, DRAIN or MAINT.

    As long as none answers all pages that `health` lists, one that answers the first is up.
    """
    output = remote.run(f"{LIBRARY}statuses")
    return dict(line.split(" ", 1) for line in output.text.splitlines() if " " in line)


class Drained(Enum):
    """How the draining of a server ended; each value is the exit code that tells."""

    EMPTY = 0
    ABSENT = 3
    ONLY = 4
    LEFT = 5
    SILENT = 6

    def said(self, server: str) -> str:
        """Return what the person should know of it; "" when the server has no requests left."""
        return {
            Drained.EMPTY: "",
            Drained.SILENT: f"HAProxy gives no answer, so {server} could not be drained",
            Drained.ABSENT: f"HAProxy has no {server} to drain",
            Drained.ONLY: f"no other server is up, so {server} was not drained",
            Drained.LEFT: f"{server} still has requests, which have had the time to end",
        }[self]


def drain(
    remote: Remote,
    server: str,
    seconds: int = DRAIN_SECONDS,
    say: Callable[[str], None] = lambda words: None,
) -> Drained:
    """Give a server no more requests and wait until it has none, `seconds` at most.

    `say` gets what is awaited when that takes its time. The only one that is up keeps its clients.
    Raises MachineError when HAProxy refuses.
    """
    quiet = min(seconds, QUIET_SECONDS)
    how = _drain(remote, server, quiet)
    if how is Drained.LEFT and seconds > quiet:
        say(f"wait for the requests that {server} still has, {seconds - quiet} s at most")
        how = _drain(remote, server, seconds - quiet)
    return how


def _drain(remote: Remote, server: str, seconds: int) -> Drained:
    output = remote.run(
        f"{LIBRARY}answers || exit {Drained.SILENT.value}\n"
        f"there {server} || exit {Drained.ABSENT.value}\n"
        f"! alone {server} || exit {Drained.ONLY.value}\n"
        f"drain {server} {seconds}",
        seconds=seconds + 30,
    )
    if output.code not in [each.value for each in Drained]:
        raise MachineError(remote.name, output.text.strip())
    return Drained(output.code)


def ready(remote: Remote, server: str, wait: bool = True) -> None:
    """Give a server clients again, and wait until it is seen up; raises MachineError if it isn't.

    Without `wait`, HAProxy's own checks decide when it gets some.
    """
    back = f"ready {server} {UP_SECONDS}" if wait else f"set_state {server} ready"
    output = remote.run(f"{LIBRARY}there {server} || exit 0\n{back}", seconds=UP_SECONDS + 30)
    if output.code:
        raise MachineError(remote.name, output.text.strip())
