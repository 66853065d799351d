"""What a tier says of itself, as data: the rest of the project learns of it from here.

Standard library only: a scenario is checked with it before anything is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True)
class Listener:
    """Something that machines of a tier listen on.

    `name` is what users of it say, after their tier's: "database.sql". `port` is an entry of PORTS
    in config.py, with its `default`, or else `numbers` are the port and the last one of its range.
    A `protocol` other than "tcp" or "udp" has no port. `words` say what is asked for, as "SQL". One
    of a `pair` is there only where the tier of that name has more than one machine.
    """

    name: str
    words: str
    port: str = ""
    default: int = 0
    numbers: tuple[int, int] = (0, 0)
    protocol: str = "tcp"
    pair: str = ""

    def ports(self, chosen: Mapping[str, int]) -> tuple[int, int]:
        """Return first and last port, where `chosen` are those of config.py."""
        return (chosen[self.port],) * 2 if self.port else self.numbers


@dataclass(frozen=True)
class Tier:
    """A tier: what it is called, how many machines it has, what it listens on, and whom it asks.

    `people_say` stands in sentences ("an app server"), `members` in those of the tasks ("the app
    servers"). `row` is its place in the picture, from the users (0) down to the data. `about` says
    in a few words what it is there for, and may name {ports[...]}, {application} and {replicas}.
    `least` and `most` are how many machines it may have; an `optional` one may also have none.
    `uses` are listeners of others, each as "tier.listener"; a tier that is `inside` is protected,
    and deployed to. Machines of one that is `certified` have a certificate of the scenario's own
    authority; several of one that `floats` share an address: see FLOATING in config.py.
    """

    name: str
    title: str
    people_say: str
    members: str
    about: str
    row: int
    least: int = 0
    most: int = 1_000_000
    optional: bool = False
    why_least: str = ""
    listens: tuple[Listener, ...] = ()
    uses: tuple[str, ...] = ()
    inside: bool = True
    certified: bool = False
    floats: bool = False

    def room(self, name: str) -> ModuleType | None:
        """Return a module of the tier's package, such as `state` or `checks`; None without it."""
        module = f"fabfile.tiers.{self.name}.{name}"
        return import_module(module) if find_spec(module) else None

    @property
    def retire(self) -> str:
        """Shell functions that take a machine out of the tier, from its package's `retire.sh`.

        `may_retire_NAME` prints why it must not be and fails, `retire_NAME` does it and prints what
        stays; "" where removing the units is all.
        """
        here = Path(__file__).parent
        files = [here / "floating.sh"] if self.floats else []
        files += [here / self.name / name for name in ("pair.sh", "retire.sh")]
        return "".join(file.read_text() for file in files if file.exists())


@dataclass(frozen=True)
class View:
    """The units that a machine is there for, and shell that prints what it sees of others.

    The shell runs as root, changes nothing, and prints a line "NAME: VALUE" for each thing. `tier`
    is filled in for it: the names are the tier's own, and another one may have the same.
    """

    units: tuple[str, ...] = ()
    shell: str = ""
    tier: str = ""
