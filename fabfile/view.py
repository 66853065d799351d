"""What `status` asks of a machine; each tier's module answers it for its own machines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """The units that a machine is there for, and shell that prints what it sees of others.

    The shell runs as root, changes nothing, and prints a line "NAME: VALUE" for each thing.
    """

    units: tuple[str, ...] = ()
    shell: str = ""
