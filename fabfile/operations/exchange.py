"""Reads a scenario from another tool's files, and writes it for one: VNX."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from invoke.exceptions import Exit

from fabfile.operations.session import scenario
from fabfile.scenario import ScenarioError, load, vnx
from fabfile.scenario.inventory import Inventory


def import_vnx(names: str, to: str, overwrite: bool) -> None:
    """Write the config.py of a scenario that files of VNX describe, and say what it leaves out.

    It lies beside the first of them unless `to` says where. Raises Exit, and has written nothing,
    when a file cannot be read, when what they describe is no scenario, or when another file is
    there.
    """
    paths = [Path(name.strip()) for name in names.split(",") if name.strip()]
    try:
        files = [vnx.read(path) for path in paths]
        if not files:
            raise vnx.VnxError(["Name a file of VNX."])
        imported = vnx.merged(files)
    except vnx.VnxError as error:
        raise Exit(str(error), 1) from None
    target = Path(to) if to else paths[0].with_suffix(".py")
    text = vnx.source_text(imported, [file.file for file in files])
    _check(text, target)
    for note in imported.notes:
        print(f"  - {note}")
    as_it_is = f", and CRM_CONFIG={target} before a command uses it as it is"
    done = _written(target, text, overwrite, "import", as_it_is)
    print(f"{done}: {len(imported.machines)} machines")
    print(f"To start it: CRM_CONFIG={target} .venv/bin/invoke lab.up deploy verify")


def export_vnx(to: str, overwrite: bool) -> None:
    """Write the scenario as a file of VNX, NAME.xml unless `to` says where, or raise Exit."""
    wanted = scenario()
    try:
        text, notes = vnx.exported(wanted)
    except vnx.VnxError as error:
        raise Exit(str(error), 1) from None
    print(_written(Path(to or f"{wanted.name}.xml"), text, overwrite, "export"))
    for note in notes:
        print(f"  - {note}")


def _check(text: str, target: Path) -> None:
    """Raise Exit with what keeps the text from being a scenario."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / target.name
        file.write_text(text)
        try:
            load(file, Inventory())
        except ScenarioError as error:
            lines = "\n".join(f"  - {mistake}" for mistake in error.mistakes)
            raise Exit(
                "These files do not make a scenario that can be deployed; name those of its other "
                f"machines, too, or edit them. Nothing was written.\n{lines}",
                1,
            ) from None


def _written(target: Path, text: str, overwrite: bool, task: str, as_it_is: str = "") -> str:
    """Write a file unless it says the same already, and return what was done.

    Raises Exit rather than replace another one unasked.
    """
    try:
        before = target.read_text(errors="replace") if target.exists() else None
        if before == text:
            return f"{target} is as it was"
        if before is not None and not overwrite:
            raise Exit(
                f"{target} is there and says something else: scenario.{task} --overwrite replaces "
                f"it, --to names another file{as_it_is}. Nothing was written.",
                1,
            )
        new = target.with_name(f".{target.name}.new")
        new.write_text(text)
        os.replace(new, target)
    except OSError as error:
        raise Exit(f"{target} cannot be written: {error.strerror}.", 1) from None
    return f"{target} is written"
