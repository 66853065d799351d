"""What every operation begins with: the scenario, connections to its machines, and the lock."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace

from invoke.exceptions import Exit

from fabfile.engine.connecting import unlock_keys
from fabfile.engine.converge import MachineErrors, everywhere
from fabfile.engine.lock import Busy, lock
from fabfile.engine.remote import Absent, MachineError, Remote
from fabfile.operations import access
from fabfile.operations.progress import console, hide, interruptible
from fabfile.scenario import Scenario, ScenarioError, load
from fabfile.scenario.credentials import known_secrets
from fabfile.tiers.balancer import state as balancer


def scenario() -> Scenario:
    """Return the scenario; raises Exit with all its mistakes."""
    try:
        return load()
    except ScenarioError as error:
        raise Exit(str(error), 1) from None


@contextmanager
def connected(wanted: Scenario, names: Sequence[str]) -> Iterator[dict[str, Remote]]:
    """Return a connection for each named machine, and close them all after the block."""
    remotes = {name: Remote(name, wanted.machine(name).ssh) for name in names}
    unlock_keys(remote.login for remote in remotes.values())
    try:
        yield remotes
    finally:
        for remote in remotes.values():
            remote.close()


@contextmanager
def operation(
    wanted: Scenario, names: Sequence[str], what: str, wait: bool = False, switches: bool = False
) -> Iterator[dict[str, Remote]]:
    """Give connections to the machines for the time of an operation; there is one at a time.

    The first machine that can be reached keeps the scenario's lock, balancers before others; where
    two share an address, both do. One that is away and may be is left out. Raises Exit when someone
    else has the lock (`wait` waits instead), with the errors of all machines, or when another
    application runs, unless it is an operation that `switches`.
    """
    again = "Run it again: it goes on where it stopped."
    with (
        interruptible(again),
        connected(wanted, [each.name for each in wanted.keepers]) as known,
        ExitStack() as held,
    ):
        # Who takes over from the first has its lock, too: whichever was away, they meet on one.
        first, *others = _pair(wanted) or [next(iter(known))]
        remotes = {name: known[name] for name in dict.fromkeys([*names, first, *others])}

        def begin(remote: Remote) -> None:
            remote.connect()
            if remote.name == first:
                held.enter_context(_turn(wanted, remote, what, wait))

        try:
            reach(wanted, remotes, begin, unneeded={first, *others} - {*names})
            keepers = [remotes[name] for name in others if name in remotes]
            if first not in remotes and not keepers:
                keepers = [_substitute(wanted, known, {first, *others})]
            for keeper in keepers:
                held.enter_context(_turn(wanted, keeper, what, wait))
        except Busy as holder:
            raise Exit(
                f"{wanted.name} is being changed ({holder}). Nothing was changed: run it again "
                "when that has ended, or with --wait.",
                1,
            ) from None
        asked = [remotes[name] for name in (first, *others) if name in remotes]
        if not switches and asked:
            _refuse_another(wanted, asked[0])
        furnish(wanted)
        yield remotes


def _pair(wanted: Scenario) -> list[str]:
    """Return the balancers, where they share an address."""
    return [each.name for each in wanted.balancers] if "balancer" in wanted.floating else []


def furnish(wanted: Scenario) -> None:
    """Have all that this computer keeps for the scenario; raises Exit where a person must help."""
    try:
        if note := access.furnish(wanted):
            console.print(note, markup=False)
    except access.NoAccess as error:
        raise refuse(f"{error}.") from None


def _turn(wanted: Scenario, remote: Remote, what: str, wait: bool) -> AbstractContextManager[None]:
    """Return the lock on a machine, which says who waits for whom."""
    who = f"{getpass.getuser()}@{socket.gethostname()}"

    def waits(holder: str) -> None:
        console.print(f"{wanted.name} is being changed ({holder}); waiting", markup=False)

    return lock(remote, who, what, waits if wait else None)


def _substitute(wanted: Scenario, known: Mapping[str, Remote], absent: Set[str]) -> Remote:
    """Return the machine that keeps the lock while another one is away; raises Exit without any."""
    for name, remote in known.items():
        try:
            if name not in absent:
                remote.connect()
                return remote
        except MachineError:
            continue
    raise refuse(f"No machine of {wanted.name} can be reached to keep its lock.")


def reach(
    wanted: Scenario,
    remotes: dict[str, Remote],
    begin: Callable[[Remote], None],
    unneeded: Set[str] = frozenset(),
) -> None:
    """Begin on all machines, and drop those that are not there and may be away.

    Those are app servers in maintenance, `unneeded` ones, and those whose work another one does
    that was reached. Raises Exit with the errors of all others.
    """
    try:
        everywhere(list(remotes.values()), begin)
    except MachineErrors as found:
        there = remotes.keys() - {error.machine for error in found.errors}
        left_out = [
            error
            for error in found.errors
            if may_be_absent(wanted, error)
            or (isinstance(error, Absent) and error.machine in unneeded)
            or _replaced_by(wanted, error, there)
        ]
        if len(left_out) < len(found.errors):
            raise refused(_all_errors(found, remotes), wanted) from None
        for error in left_out:
            del remotes[error.machine]
            console.print(f"{error}\n{_why_left_out(wanted, error, there, unneeded)}", markup=False)


def _why_left_out(
    wanted: Scenario, error: MachineError, there: Set[str], unneeded: Set[str]
) -> str:
    name = error.machine
    if others := _replaced_by(wanted, error, there):
        return (
            f"{others} does the work of {name}, which is left as it is: 'fab deploy' when it is "
            "back brings it up to date"
        )
    why = "is not needed for this" if name in unneeded else "is in maintenance"
    return f"{name} {why}, and left as it is"


def _replaced_by(wanted: Scenario, error: MachineError, there: Set[str]) -> str:
    """Return who of those that are there has the shared addresses of one that is away, or ""."""
    if not isinstance(error, Absent):
        return ""
    # Of a server that is being added, the scenario does not know so far.
    known = [each for each in wanted.machines if each.name == error.machine]
    peers = [peer.name for each in known for peer in wanted.peers(each)]
    return " and ".join(name for name in peers if name in there)


def may_be_absent(wanted: Scenario, error: MachineError) -> bool:
    """Tell whether an error is only that a server in maintenance is away."""
    return isinstance(error, Absent) and error.machine in wanted.inventory.maintenance


def without_absent(
    wanted: Scenario, names: Sequence[str], remotes: Mapping[str, Remote]
) -> Scenario:
    """Return the scenario without the machines that an operation has left out of `names`."""
    return replace(wanted, absent=frozenset([*names, *_pair(wanted)]) - remotes.keys())


def _refuse_another(wanted: Scenario, keeper: Remote) -> None:
    """Raise Exit when the machines run another application: part of them would get this one."""
    name = wanted.application.name
    runs = keeper.run(balancer.application()).text.strip()
    if runs not in ("", name):
        raise refuse(
            f"{wanted.name} runs the application {runs}, not {name}. Say APPLICATION = {runs!r} in "
            f"{wanted.source.name}, or CRM_APP={runs} before the command; only deploy switches."
        )


def _all_errors(found: MachineErrors, remotes: dict[str, Remote]) -> MachineErrors:
    """Return what is wrong with each machine, also with those that only refuse root."""
    # Where nobody answers, a second look would take as long as the first, and find the same.
    silent = {error.machine for error in found.errors if isinstance(error, Absent)}
    try:
        asked = [remote for name, remote in remotes.items() if name not in silent]
        everywhere(asked, lambda remote: remote.run(":"))
    except MachineErrors as errors:
        named = {error.machine for error in errors.errors}
        others = [error for error in found.errors if error.machine not in named]
        return MachineErrors([*errors.errors, *others])
    return found


def refuse(sentence: str) -> Exit:
    """Return what ends a task before it has changed anything."""
    return Exit(f"{sentence}\nNothing was changed.", 1)


def refused(errors: MachineErrors, wanted: Scenario) -> Exit:
    """Return what ends a task with the errors of all machines, before it has changed anything."""
    lines = [f"{error}{_way_out(wanted, error)}" for error in errors.errors]
    return refuse(hide("\n".join(lines), known_secrets(wanted.state)))


def _way_out(wanted: Scenario, error: MachineError) -> str:
    """Return how the others can be changed without an app server that is away."""
    name = error.machine
    # Of a server that is being added, no other task knows.
    serving = {machine.name for machine in wanted.serving} & {m.name for m in scenario().machines}
    if not isinstance(error, Absent) or name not in serving or len(serving) == 1:
        return ""
    end = "" if error.sentence.endswith((".", "?")) else "."
    return (
        f"{end} If it stays away, 'invoke maintenance --server {name} on' has it left out until "
        f"it is back, and 'invoke remove-server --name {name}' takes it away for good."
    )
