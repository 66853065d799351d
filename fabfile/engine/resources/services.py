"""systemd services and mounts."""

from __future__ import annotations

import shlex
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from fabfile.engine.change import Change, Refused
from fabfile.engine.resources.pending import print_pending
from fabfile.engine.survey import Survey

PROPERTIES = "Id,ActiveState,UnitFileState,NeedDaemonReload,LoadState,MainPID"
UNITS = Survey("units", f"systemctl show -p {PROPERTIES} --")
# How often systemd may start a unit again before it is given up.
RESTARTS = 3
LIBRARY = Path(__file__).with_suffix(".sh").read_text()


@dataclass(frozen=True)
class Service:
    """A systemd unit that runs and starts at boot.

    It is restarted, or reloaded, once and last, when something named in `restart`, or `reload`,
    has changed. `ready` is a shell condition to wait for after a start, for `limit` seconds.
    `alive` is one that holds as long as it works: an active unit without it is restarted, as a
    mount whose process has died. It finds the unit's process as "$main_pid".
    """

    unit: str
    restart: tuple[str, ...] = ()
    reload: tuple[str, ...] = ()
    ready: str = ""
    alive: str = ""
    limit: int = 60

    @property
    def key(self) -> str:
        """The name by which others wait for this resource."""
        return f"service {self.unit}"

    @property
    def surveys(self) -> Sequence[tuple[Survey, str]]:
        """What its probe reads."""
        return ((UNITS, self.unit),)

    def probe(self) -> str:
        """Print systemd's properties of the unit, and which action a killed run left."""
        return "\n".join(
            [
                f'block_of "$units" {shlex.quote(f"Id={self.unit}")}',
                "main_pid=${block#*MainPID=}; main_pid=${main_pid%%[!0-9]*}",
                print_pending(f"restart {self.unit}", "restart"),
                print_pending(f"reload {self.unit}", "reload"),
                f"{{ {self.alive or ':'}\n}} >&2 || echo dead",
            ]
        )

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Enable, start, reload or restart, whichever is missing.

        Raises Refused when somebody has forbidden it to start.
        """
        lines = facts.splitlines()
        state = dict(line.split("=", 1) for line in lines if "=" in line)
        if state.get("LoadState") == "masked":
            raise Refused(
                f"{self.unit} is masked, which forbids it to start; "
                f"'systemctl unmask {self.unit}' there takes that back"
            )
        active = state.get("ActiveState") == "active"
        dead = active and "dead" in lines
        restart, reload = changed & {*self.restart}, changed & {*self.reload}
        actions: list[str] = []
        steps: list[str] = []
        marker = ""
        causes: Set[str] = frozenset()
        unit = shlex.quote(self.unit)
        if state.get("UnitFileState") not in ("enabled", "static", "generated", "alias"):
            actions.append("enable")
            steps.append(f"systemctl -q enable {unit}")
        if dead or "restart" in lines or restart:
            marker, causes = f"restart {self.unit}", restart
            # The first start of a unit is no restart in the eyes of its reader.
            actions.append("restart" if active else "start")
            if dead:
                # What was stopped by a signal hears no other one, and would delay the restart.
                steps.append(f"systemctl kill -s CONT {unit} 2>/dev/null || :")
            steps.append(self._start("restart"))
        elif "reload" in lines or reload:
            marker, causes = f"reload {self.unit}", reload
            actions.append("reload" if active else "start")
            steps.append(self._or_say(f"systemctl reload-or-restart {unit}"))
        elif not active:
            actions.append("start")
            steps.append(self._start("start"))
        elif state.get("NeedDaemonReload") == "yes":
            actions.append("reread the unit file of")
        return self._change(actions, steps, marker, causes) if actions else None

    def restarting(self) -> Change:
        """Return the change that restarts the unit as it is, and waits until it is ready."""
        return self._change(["restart"], [self._start("restart")], f"restart {self.unit}")

    def _start(self, how: str) -> str:
        unit = shlex.quote(self.unit)
        start = self._or_say(f"systemctl {how} {unit}")
        return f"systemctl reset-failed {unit} 2>/dev/null || :\n{start}"

    def _or_say(self, command: str) -> str:
        """Return the command, after which the unit's journal says why when it fails."""
        # What is in the way may be no unit of its own: systemctl names it, and then itself.
        return (
            f"said=$({command} 2>&1) || "
            f'{{ echo "$said" | grep -v journalctl; journal {shlex.quote(self.unit)}; exit 1; }}'
        )

    def _change(
        self,
        actions: Sequence[str],
        steps: Sequence[str],
        marker: str,
        causes: Set[str] = frozenset(),
    ) -> Change:
        script = LIBRARY + "\n".join(["systemctl daemon-reload", *steps, self._await(), ""])
        summary = f"{' and '.join(actions)} {self.unit}"
        seconds = self.limit + 90
        return Change(self.key, summary, script, marker=marker, causes=causes, seconds=seconds)

    def _await(self) -> str:
        condition = self.ready or f"systemctl -q is-active {shlex.quote(self.unit)}"
        what = shlex.quote(f"{self.unit} to be ready")
        # One that systemd has started again and again does not come up by waiting.
        restarts = f'"$(systemctl show -P NRestarts {shlex.quote(self.unit)})"'
        hopeless = shlex.quote(f"[ {restarts} -gt {RESTARTS} ]")
        # What was awaited comes last: of a failed step, the last lines are shown.
        return (
            f"awaited=$(await {self.limit} {what} {shlex.quote(condition)} {hopeless}) || "
            f"{{ journal {shlex.quote(self.unit)}; printf '%s\\n' \"$awaited\"; exit 1; }}"
        )
