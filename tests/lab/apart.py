"""A lab of its own beside the one of the other tests, for scenarios of other machines."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab import places
from tests.lab.commands import run
from tests.lab.lab import BIN, Lab, start


class Apart:
    """Machines of a scenario of its own, tasks on it and on others with the same machines."""

    def __init__(
        self,
        lab: Lab,
        directory: Path,
        machines: dict | None = None,
        entries: dict | None = None,
    ) -> None:
        """Write the scenario that starts the machines: those of the lab, or what is given.

        `machines` has their entries, whose addresses are in the ranges of `place`; `entries` is a
        whole scenario, wherever its addresses are.
        """
        self.lab, self.directory = lab, directory
        self.place = places.apart()
        self.entries = places.relocated(entries or lab.entries, self.place)
        if machines:
            self.entries["NETWORKS"] = {
                "private": f"{self.place.lans}4.0/24",
                "management": self.entries["NETWORKS"]["management"],
            }
            self.entries["MACHINES"] = machines
        self.config = self.write("lab", self.entries)

    def write(self, name: str, entries: dict) -> Path:
        """Write a scenario's file, and answer its path."""
        return places.write(entries, self.directory / f"{name}.py")

    def do(self, name: str, script: str) -> str:
        """Run a script on a machine as root; answer its output."""
        known = ("-o", f"UserKnownHostsFile={self.place.state / 'known_hosts'}")
        login = f"deploy@{self.entries['MACHINES'][name]['management']}"
        ssh = ("ssh", "-i", self.place.state / "id_ed25519", *known, login, "sudo -n sh -eu")
        return run(*ssh, stdin=script, limit=120).out

    def task(
        self,
        program: str,
        *words: str,
        config: Path | None = None,
        code: int = 0,
        **variables: str,
    ) -> str:
        """Run fab or invoke on a scenario, its own by default; answer what it printed."""
        environment = self.lab.environment(config or self.config, **variables)
        return run(BIN / program, *words, environment=environment, code=code, limit=500).text

    @contextmanager
    def started(self, bare: bool = False) -> Iterator[None]:
        """Start the machines, with what the other tests have of their images, for the block."""
        self._down()  # what a killed run left
        images = Path(places.directory(places.NUMBER)) / "images"
        try:
            start(self.lab.environment(self.config), images, bare)
            yield
        finally:
            self._down()

    def _down(self) -> None:
        # Servers that were added to another scenario do not suit this one.
        for rest in self.place.state.glob("*.json"):
            rest.unlink()
        self.task("invoke", "lab.down")
