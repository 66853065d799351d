"""Changes app servers one after the other while the rest serves, and puts back what fails.

Each server that serves is drained in the balancer, changed, found healthy by itself, and given
clients again; the next ones follow when the balancer has seen it up. The first is the canary: when
it fails, no other is touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from fabfile import haproxy, servers
from fabfile.engine.converge import everywhere
from fabfile.engine.remote import MachineError, Remote
from fabfile.engine.script import StepFailed
from fabfile.scenario import Scenario


class BatchError(Exception):
    """A batch size that makes no sense, as one sentence."""


def batch_size(text: str, servers: int) -> int:
    """Answer how many servers change at once: "2", or "50%" of them, one at least."""
    match = re.fullmatch(r"(\d+)(%?)", text)
    number = int(match[1]) if match else 0
    if not number or (match[2] and number > 100):
        raise BatchError(
            f"--batch is {text!r}, it must be a number of servers from 1 up or a percentage"
        )
    return max(1, servers * number // 100) if match[2] else number


class Rolling:
    """A rollout of the app servers of a scenario, `size` at a time."""

    def __init__(self, scenario: Scenario, size: int) -> None:
        self._scenario = scenario
        self._size = size
        self._served: dict[str, str] = {}

    def batches(self, remotes: Sequence[Remote]) -> Sequence[Sequence[Remote]]:
        """Answer the canary alone, then those that serve nobody yet, then the rest by `size`."""
        keep = servers.keep_previous(self._scenario)
        found = everywhere(remotes, lambda remote: remote.run(keep, seconds=30).text.split()[-1:])
        self._served = {name: release[0] for name, release in found.items() if release}
        serving = [remote for remote in remotes if remote.name in self._served]
        others = [remote for remote in remotes if remote.name not in self._served]
        rest = [serving[at : at + self._size] for at in range(1, len(serving), self._size)]
        return [batch for batch in (serving[:1], others, *rest) if batch]

    @contextmanager
    def around(self, remote: Remote, say: Callable[[str], None]) -> Iterator[None]:
        """Drain a server that serves, and give it clients again when it is changed, or put back."""
        name = remote.name
        if name not in self._served or self._scenario.rests(self._scenario.machine(name)):
            yield
            return
        balancer = self._scenario.tier("balancer")[0]
        with closing(Remote(balancer.name, balancer.login)) as lb:
            say(f"drain {name} in {balancer.name}")
            haproxy.drain(lb, name)
            try:
                yield
            except StepFailed as error:
                say(f"put back release {self._served[name]}")
                raise MachineError(
                    name, f"{error.sentence}\n    {self._put_back(remote, lb)}"
                ) from error
            except MachineError:
                haproxy.ready(lb, name, wait=False)
                raise
            say(f"give {name} clients again")
            haproxy.ready(lb, name)

    def _put_back(self, remote: Remote, lb: Remote) -> str:
        """Bring a server back to what it served before, and answer how that ended."""
        release = self._served[remote.name]
        script = servers.put_back(self._scenario, release)
        try:
            output = remote.run(script, seconds=120)
            if output.code:
                haproxy.ready(lb, remote.name, wait=False)
                return f"putting back release {release} failed, too: {output.text.strip()}"
            haproxy.ready(lb, remote.name)
        except MachineError as error:
            return f"putting back release {release} failed, too: {error}"
        return (
            f"{remote.name} was put back on release {release} and is in service again; "
            "the servers after it were not touched"
        )
