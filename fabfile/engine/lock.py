"""One operation at a time, whoever runs it and from where: a lock on one of the machines.

It is an flock(2) that lives as long as the SSH channel it was taken on. Whatever ends the holder,
kill -9 included, closes the channel, and the kernel there frees the lock. A computer that is lost
without a word says nothing for a minute, and that frees it, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import paramiko

from fabfile.engine.remote import MachineError, Remote
from fabfile.engine.root import READY
from fabfile.engine.script import STATE

BEAT_SECONDS = 15
SILENCE_SECONDS = 60
ANSWER_SECONDS = 30
# The first line of its input says who asks for what; each later one that the holder lives. The
# variable `waits` is empty for one that does not wait for who has the lock.
HOLD = f"""
umask 022
mkdir -p {STATE} && exec 9>>{STATE}/operation || exit 1
IFS= read -r holder || exit 1
if ! flock -n 9; then
  echo "busy $(cat {STATE}/operation)"
  [ -n "$waits" ] && flock 9 || exit 75
fi
echo "$holder, since $(date '+%F %T')" >{STATE}/operation
echo held
exec bash -c 'while read -r -t {SILENCE_SECONDS} _; do :; done'
"""


class Busy(Exception):
    """Another operation is in progress; the text says whose, since when, and what."""


@contextmanager
def lock(
    remote: Remote, who: str, what: str, on_busy: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold the machine's lock during the block.

    When someone has it, raises Busy; or, with `on_busy`, calls that with who it is, and waits.
    Raises MachineError when the machine cannot be asked.
    """
    channel = remote.start(f"waits={'yes' if on_busy else ''}{HOLD}")
    ended = threading.Event()
    try:
        channel.sendall(f"{who}: {what}".replace("\n", " ").encode() + b"\n")
        beat = threading.Thread(target=_beat, args=(channel, ended), daemon=True)
        beat.start()
        _await(remote, channel, on_busy)
        yield
    finally:
        ended.set()
        channel.close()


def _beat(channel: paramiko.Channel, ended: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        try:
            channel.sendall(b"\n")
        except OSError:
            return  # the connection is gone, and whoever works on it is told so


def _await(
    remote: Remote, channel: paramiko.Channel, on_busy: Callable[[str], None] | None
) -> None:
    channel.settimeout(ANSWER_SECONDS)
    seen = []
    try:
        for line in channel.makefile("r"):
            seen.append(line.strip())
            if seen[-1] == "held":
                return
            if seen[-1].startswith("busy "):
                holder = seen[-1].removeprefix("busy ")
                if not on_busy:
                    raise Busy(holder)
                on_busy(holder)
                channel.settimeout(None)
    except (TimeoutError, OSError) as error:
        seen.append(str(error) or f"no answer within {ANSWER_SECONDS} s")
    said = " | ".join(seen).rpartition(READY)[2].strip(" |")
    raise MachineError(remote.name, f"its lock could not be taken: {said or 'no answer'}")
