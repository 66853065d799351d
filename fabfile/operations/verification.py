"""What `verify` does for a person: run all checks, show them, and fail if one is false."""

from __future__ import annotations

import json
import time
from dataclasses import replace

from invoke.exceptions import Exit
from rich.markup import escape

from fabfile.engine.words import counted
from fabfile.operations.progress import console, hide, interruptible
from fabfile.operations.session import scenario
from fabfile.scenario.credentials import known_secrets
from fabfile.verify import Check, verify


def show(as_json: bool = False) -> None:
    """Print every check as a line or all as JSON; raises Exit with 1 when one is false."""
    started = time.monotonic()
    wanted = scenario()
    secrets = known_secrets(wanted.state)
    found = []
    with interruptible("What the checks had made was removed."):
        for check in verify(wanted):
            check = replace(check, seen=hide(check.seen, secrets))
            found.append(check)
            if not as_json:
                console.print(
                    f"{_mark(check)}  {escape(check.name)} [dim]({escape(check.seen)})[/]"
                )
    seconds = time.monotonic() - started
    wrong = sum(not check.ok for check in found)
    warnings = sum(check.warning for check in found)
    if as_json:
        checks = [vars(check) for check in found]
        print(json.dumps({"ok": not wrong, "seconds": round(seconds, 1), "checks": checks}))
    else:
        warned = f", {warnings} with a warning" if warnings else ""
        true = len(found) - wrong
        console.print(f"{true} of {len(found)} checks are true{warned} ({seconds:.1f} s)")
    if wrong:
        raise Exit("" if as_json else _false(found), 1)


def _false(found: list[Check]) -> str:
    names = [check.name for check in found if not check.ok]
    return f"{counted(len(names), 'check')} {'is' if len(names) == 1 else 'are'} false: " + (
        "; ".join(names)
    )


def _mark(check: Check) -> str:
    if not check.ok:
        return "[bold red]FALSE[/]"
    return "[yellow]warns[/]" if check.warning else "[green]true [/]"
