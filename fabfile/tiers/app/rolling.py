"""Changes app servers one after the other while the rest serves, and puts back what fails.

Each server that serves is drained in the balancer, changed, found healthy by itself, and given
clients again; the next ones follow when the balancer has seen it up. The first is the canary: when
it fails, no other is touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from fabfile.engine.converge import everywhere
from fabfile.engine.remote import MachineError, Remote
from fabfile.engine.script import Failure, StepFailed
from fabfile.scenario import Scenario
from fabfile.tiers.app import servers
from fabfile.tiers.balancer import every


class BatchError(Exception):
    """A batch size that makes no sense, as one sentence."""


def batch_size(text: str, count: int) -> int:
    """Return how many of `count` servers change at once: "2", or "50%" of them, one at least."""
    match = re.fullmatch(r"(\d+)(%?)", text)
    number, percent = (int(match[1]), match[2]) if match else (0, "")
    if not number or (percent and number > 100):
        raise BatchError(
            f"--batch is {text!r}, it must be a number of servers from 1 up or a percentage"
        )
    return max(1, count * number // 100) if percent else number


class Rolling:
    """A rollout of the app servers of a scenario, `size` at a time."""

    def __init__(self, scenario: Scenario, size: int) -> None:
        self._scenario = scenario
        self._size = size
        self._served: dict[str, tuple[str, str]] = {}  # server -> (application, release)

    def batches(self, remotes: Sequence[Remote]) -> Sequence[Sequence[Remote]]:
        """Return the canary alone, then those that serve nobody yet, then the rest by `size`.

        Servers that run another application follow the canary all at once: the users shall not
        meet now the one and now the other.
        """
        keep = servers.keep_previous(self._scenario)

        def kept(remote: Remote) -> list[str]:
            output = remote.run(keep, seconds=30)
            if output.code:
                lines = output.text.strip().splitlines()
                said = Failure("keep what serves now", output.code, lines)
                raise MachineError(remote.name, str(said))
            return output.text.split()[-2:]

        found = everywhere(remotes, kept)
        self._served = {
            name: (words[0], words[1]) for name, words in found.items() if len(words) == 2
        }
        serving = [remote for remote in remotes if self._serves(remote) is True]
        switching = [remote for remote in remotes if self._serves(remote) is False]
        idle = [remote for remote in remotes if self._serves(remote) is None]
        canary = (serving or switching)[:1]
        rest = [remote for remote in (*idle, *switching) if remote not in canary]
        others = [serving[at : at + self._size] for at in range(1, len(serving), self._size)]
        return [batch for batch in (canary, rest, *others) if batch]

    def _serves(self, remote: Remote) -> bool | None:
        """Tell whether a server runs the application, False for another one, None for none."""
        found = self._served.get(remote.name)
        return found[0] == self._scenario.application.name if found else None

    @contextmanager
    def around(self, remote: Remote, say: Callable[[str], None]) -> Iterator[None]:
        """Drain a server that serves, and give it clients again when it is changed, or put back."""
        name = remote.name
        if name not in self._served or self._scenario.in_maintenance(self._scenario.machine(name)):
            yield
            return
        with every.connected(self._scenario) as lbs:
            say(f"drain {name} in {' and '.join(lb.name for lb in lbs)}")
            for words in every.drain(lbs, name, say=say):
                say(words)
            try:
                yield
            except StepFailed as error:
                application, release = self._served[name]
                say(f"put back release {release} of {application}")
                raise MachineError(
                    name, f"{error.sentence}\n    {self._put_back(remote, lbs)}"
                ) from error
            except MachineError:
                every.ready(lbs, name, wait=False)
                raise
            say(f"give {name} clients again")
            # Of another application, HAProxy learns the health path when all servers have it.
            every.ready(lbs, name, wait=self._serves(remote) is True)

    def _put_back(self, remote: Remote, lbs: Sequence[Remote]) -> str:
        """Bring a server back to what it served before, and answer how that ended."""
        application, release = self._served[remote.name]
        script = servers.put_back(self._scenario, application, release)
        try:
            output = remote.run(script, seconds=120)
            if output.code:
                every.ready(lbs, remote.name, wait=False)
                return f"putting back release {release} failed, too: {output.text.strip()}"
            every.ready(lbs, remote.name)
        except MachineError as error:
            return f"putting back release {release} failed, too: {error}"
        return (
            f"{remote.name} was put back on release {release} and is in service again; "
            "the servers after it were not touched"
        )
