"""TCP ports that a service of ours listens on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence, Set
from dataclasses import dataclass

from fabfile.engine.change import Change, Refused
from fabfile.engine.survey import Survey

# With the paths of Unix sockets.
SOCKETS = Survey("sockets", "ss -Hltxnp")


def listeners(port: int) -> str:
    """Return shell that prints number, unit ("-": none) and name of each process on a TCP port."""
    return (
        f"ss -Hltnp 'sport = :{port}' | grep -o 'pid=[0-9]*' | sort -u |\n"
        "while IFS== read -r _ pid; do\n"
        "  unit= name=\n"
        # systemd(1): the last part of the control group's path is the unit.
        "  while IFS=: read -r number kind path; do\n"
        '    case "$number:$kind" in 0: | *:name=systemd) unit=${unit:-${path##*/}} ;; esac\n'
        '  done <"/proc/$pid/cgroup"\n'
        '  read -r name <"/proc/$pid/comm"\n'
        '  echo "$pid ${unit:--} $name"\n'
        "done"
    )


@dataclass(frozen=True)
class Port:
    """A TCP port on which nobody but these systemd units may listen; it changes nothing.

    `remedy` ends the sentence that names the stranger, as "or choose another port in ...".
    `known` is a shell condition under which "$unit" is not a stranger, either.
    `socket` is the path of a Unix socket that goes with the port.
    """

    number: int
    units: tuple[str, ...]
    remedy: str = ""
    known: str = "false"
    socket: str = ""

    @property
    def key(self) -> str:
        """The name by which others wait for this resource."""
        return f"port {self.number}"

    @property
    def surveys(self) -> Sequence[tuple[Survey, str]]:
        """What its probe reads."""
        return ((SOCKETS, ""),)

    def probe(self) -> str:
        """Print number, unit and name of each process that listens on the port."""
        path = shlex.quote(self.socket)
        return (
            f'listeners "$sockets" {self.number} {path} |\n'
            "while read -r pid unit name; do\n"
            f"  {self.known} ||\n"
            '  echo "$pid $unit $name"\n'
            "done"
        )

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Change nothing; raises Refused when a stranger listens on the port."""
        for line in facts.splitlines():
            pid, unit, name = (*line.split(" ", 2), "", "")[:3]
            if pid and unit not in self.units:
                of = f" of {unit}" if unit.endswith((".service", ".socket", ".scope")) else ""
                raise Refused(
                    f"port {self.number} is taken by {name} (process {pid}{of}); "
                    f"stop that{self.remedy}"
                )
        return None
