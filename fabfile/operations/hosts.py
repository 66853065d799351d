"""Trusting the host keys of new machines: shown all at once, and asked for once."""

from __future__ import annotations

import sys

from invoke import Collection, Context, task
from invoke.exceptions import Exit

from fabfile.engine.connecting import NotConnected, close_connection, open_connection, unlock_keys
from fabfile.engine.converge import everywhere
from fabfile.engine.known_hosts import Unknown, remember
from fabfile.engine.remote import Remote
from fabfile.engine.words import counted
from fabfile.operations.progress import console
from fabfile.operations.session import refuse, scenario


@task(help={"yes": "do not ask: the fingerprints were compared, or there is nobody to ask"})
def trust(context: Context, yes: bool = False) -> None:
    """Show the host keys of machines that are not known yet, and trust them when you say so."""
    wanted = scenario()
    remotes = [Remote(machine.name, machine.ssh) for machine in wanted.inside]
    unlock_keys(remote.login for remote in remotes)
    trusted = 0
    while True:
        errors = {name: error for name, error in everywhere(remotes, _tried).items() if error}
        new = {name: error.unknown for name, error in errors.items() if error.unknown}
        if not new:
            break
        # Behind a jump host that is trusted now, there may be others.
        keys = list(dict.fromkeys(new.values()))
        _show(new)
        if not yes:
            _ask(len(keys))
        for key in keys:
            remember(key)
        trusted += len(keys)
    keys_are = f"{counted(trusted, 'host key')} {'is' if trusted == 1 else 'are'}"
    known = f"{keys_are} trusted now" if trusted else "all machines are known"
    console.print(known, markup=False)
    if errors:
        lines = [f"{name}: {error}" for name, error in errors.items()]
        raise Exit("\n".join(lines), 1)


def _tried(remote: Remote) -> NotConnected | None:
    """Return why a machine cannot be logged in on, if it cannot."""
    try:
        close_connection(open_connection(remote.login))
    except NotConnected as error:
        return error
    return None


def _show(new: dict[str, Unknown]) -> None:
    for name, key in new.items():
        line = f"{name:6} {key.name}  {key.key.get_name()} {key.key.fingerprint}"
        console.print(line, markup=False, soft_wrap=True)


def _ask(number: int) -> None:
    """Return when a person trusts the keys that were shown; raises Exit otherwise."""
    own = (
        "a machine's own is on the page or console of its provider, or what "
        "'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub' shows there"
    )
    if not sys.stdin.isatty():
        raise refuse(f"There is nobody to ask: {own}. Compare them, then say --yes.")
    these = "this key" if number == 1 else f"these {number} keys"
    answer = console.input(f"Trust {these}? Compare: {own}. yes or no: ", markup=False)
    if answer.strip().lower() not in ("y", "yes"):
        raise refuse("They are not trusted.")


namespace = Collection("hosts", trust)
