"""Commands that stand still at a step of theirs: what is done then is no matter of luck."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fabfile.engine.waiting import wait_until
from tests.lab import standstill
from tests.lab.commands import wait_for
from tests.lab.lab import Lab
from tests.lab.places import ROOT


class Stopped:
    """A command that stands still."""

    def __init__(self, process: subprocess.Popen, output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def text(self) -> str:
        """All that it has said so far."""
        return self._output.read_text()

    def go_on(self, limit: float = 60) -> int:
        """Let it do the step, if that is one of this computer; answer its exit code."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return self._ended(limit)

    def cut(self, by: signal.Signals = signal.SIGKILL) -> int:
        """Send it the signal, and answer its exit code."""
        assert self.process.poll() is None, f"it ended by itself:\n{self.text}"
        self.process.send_signal(by)
        code = self._ended(30)
        assert "Traceback" not in self.text, self.text
        return code

    def _ended(self, limit: float) -> int:
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {limit} s:\n{self.text}") from None


@contextmanager
def stopped(
    lab: Lab, *words: str, at: str, also: Sequence[str] = (), limit: float = 120
) -> Iterator[Stopped]:
    """Run a command until it stands still at the step, and kill it behind the block.

    It does none of the steps `also` either, which it may come to at the same time.
    """
    with tempfile.NamedTemporaryFile(prefix="stopped-") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", standstill.__name__, json.dumps([at, *also]), *words],
            env=lab.environment(),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        command = Stopped(process, Path(output.name))
        try:
            sign = f"{standstill.STANDS}{at}\n"
            wait_until(lambda left: sign in command.text or process.poll() is not None, limit)
            assert sign in command.text, f"it did not come to '{at}':\n{command.text}"
            yield command
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdin.close()


def cut(
    lab: Lab,
    *words: str,
    at: str,
    also: Sequence[str] = (),
    by: signal.Signals = signal.SIGKILL,
    limit: float = 120,
) -> int:
    """Run an operation until it stands still at the step, send the signal; answer the exit code."""
    with stopped(lab, *words, at=at, also=also, limit=limit) as command:
        code = command.cut(by)
    await_unlocked(lab)
    return code


def await_unlocked(lab: Lab) -> None:
    """Wait until the balancer has noticed that the operation which held its lock is gone."""
    free = "flock -n /var/lib/crm-deployer/operation echo free || :"
    wait_for("the lock of the killed operation", lambda: lab.do("lb", free).endswith("free\n"))
