"""Runs programs with a limit, as a person would in a terminal, and waits for conditions."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

# What a program that needs root is run by.
SUDO = () if os.geteuid() == 0 else ("sudo", "-n")


@dataclass(frozen=True)
class Done:
    """What a program left: its exit code, its output and its errors."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All that a person saw."""
        return self.out + self.err

    def begun(self, step: str) -> int:
        """Return how often a step was begun: of one that took long, a second line tells that."""
        return len(re.findall(rf"{re.escape(step)}$", self.out, re.MULTILINE))


def run(
    *argv: str | Path,
    limit: float = 60,
    code: int | None = 0,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Done:
    """Run a program and answer what it left; fails unless it ends in time with `code`.

    `code` None lets any exit code pass.
    """
    words = [str(word) for word in argv]
    process = subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
        cwd=directory,
        start_new_session=True,
    )
    try:
        done = Done(process.returncode, *process.communicate(stdin, timeout=limit))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise AssertionError(
            f"{' '.join(words)} did not end within {limit} s:\n{out}{err}"
        ) from None
    done = Done(process.returncode, done.out, done.err)
    if code is not None:
        assert done.code == code, (
            f"{' '.join(words)} ended with {done.code}, not {code}:\n{done.text}"
        )
    return done


def as_root(*argv: str | Path, **options: object) -> Done:
    """Run a program as root, by sudo where we are not."""
    return run(*SUDO, *argv, **options)


def wait_for(what: str, condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until the condition answers something true, or fail with what was awaited.

    A condition that raises does not hold; what it said last is shown.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            seen = condition()
        except Exception as error:
            seen, said = None, str(error)
        else:
            said = repr(seen)
        if seen:
            return
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}; last seen: {said}")
        time.sleep(0.25)
