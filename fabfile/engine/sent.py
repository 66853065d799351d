"""Python programs that are sent to a machine, run there, and answer with a literal."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, Protocol

from fabfile.engine.remote import Output

# With room for a scan's many sockets, as far as the machine lets root have it. Isolated (-I): files
# in the log-in user's home are no modules.
PYTHON = "ulimit -n 50000 2>/dev/null || ulimit -n $(ulimit -Hn); exec python3 -I -"


class Runner(Protocol):
    """What takes a program as its input: a machine's connection, or what stands in for it."""

    def pipe(self, command: str, data: bytes, *, seconds: float = 0) -> Output:
        """Run a shell command as root with `data` as its input."""


def answer(machine: str, remote: Runner, path: Path, given: object, seconds: float) -> Any:
    """Run a file's program as root on a machine; return what its `main(given)` returns.

    `given` and the answer are what a Python literal can say. The file must do with Debian's
    python3-minimal. Raises RuntimeError, in one line, when the program fails.
    """
    # As input, not as an argument: it would show in the process list.
    text = f"{path.read_text()}\nprint(repr(main({given!r})))\n"
    output = remote.pipe(PYTHON, text.encode(), seconds=seconds)
    last = (said(output).strip().splitlines() or [f"exit code {output.code}"])[-1]
    if output.code:
        raise RuntimeError(f"{machine}: {path.name} failed: {last}")
    try:
        return ast.literal_eval(last)
    except (SyntaxError, ValueError):
        raise RuntimeError(f"{machine}: {path.name} gave no answer: {last}") from None


def said(output: Output) -> str:
    """Return a command's output without what sudo says in between."""
    # Its warnings (a host name that doesn't resolve) come at any time.
    lines = output.text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("sudo: "))
