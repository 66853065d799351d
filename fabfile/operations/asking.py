"""The option --ask-sudo, of each task that logs in on machines: sudo's password, asked for once."""

from __future__ import annotations

import functools
import getpass
import inspect
import sys
from collections.abc import Callable
from typing import Any

from invoke import Context, Task
from invoke.exceptions import Exit

from fabfile.engine.remote import Remote

HELP = "ask for the password that sudo wants on the machines; kept for this command only"


def asking(each: Task[Callable[..., None]]) -> Task[Callable[..., None]]:
    """Return a task that has --ask-sudo beside its own options."""

    @functools.wraps(each.body)
    def body(context: Context, *given: Any, ask_sudo: bool = False, **options: Any) -> None:
        if ask_sudo:
            Remote.sudo_password = _password()
        each.body(context, *given, **options)

    own = inspect.signature(each.body)
    more = inspect.Parameter("ask_sudo", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=False)
    body.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[*own.parameters.values(), more]
    )
    return Task(
        body,
        name=each.name,
        positional=each.positional,
        iterable=each.iterable,
        help={**each.help, "ask-sudo": HELP},
    )


def _password() -> str:
    """Return what a person types, or the first line of the input; raises Exit for nothing."""
    terminal = sys.stdin.isatty()
    given = (
        getpass.getpass("sudo's password on the machines: ") if terminal else sys.stdin.readline()
    )
    password = given.rstrip("\n")
    if not password:
        raise Exit("--ask-sudo wants a password, and got none.\nNothing was changed.", 1)
    return password
