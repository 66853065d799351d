"""Runs a scenario's file, which may import others; nothing of them is left in memory or on disk.

Python's own import would write __pycache__ beside a person's file, and take a file for unchanged
that was edited twice within a second. So what a scenario imports is read anew at each load.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from fabfile.scenario.model import ROOT

NAME = "crm_config"
# What a scenario that changes some lines of the project's own imports.
PROJECT = "config"


class _Loader(SourceFileLoader):
    """Compiles the source each time, and writes nothing."""

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


class _Beside(MetaPathFinder):
    """Finds `config`, which is the project's config.py, and files beside the scenario's."""

    def __init__(self, source: Path) -> None:
        files = {file.stem: file for file in source.parent.glob("*.py") if file != source}
        files[PROJECT] = ROOT / f"{PROJECT}.py"
        self.files = {n: file for n, file in files.items() if n not in sys.stdlib_module_names}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module is, None when it is none of ours."""
        return _spec(fullname, self.files[fullname]) if fullname in self.files else None


def entries_of(source: Path) -> dict[str, Any]:
    """Return the entries of a scenario's file: its names in capitals, without those with a `_`.

    The file may be of any name. Raises whatever its code raises.
    """
    spec = _spec(NAME, source)
    module = module_from_spec(spec)
    with _importing(module, _Beside(source)):
        _Loader(NAME, str(source)).exec_module(module)
    return {
        name: value
        for name, value in vars(module).items()
        if name.isupper() and not name.startswith("_")
    }


def _spec(name: str, file: Path) -> ModuleSpec:
    spec = spec_from_file_location(name, file, loader=_Loader(name, str(file)))
    assert spec  # it has a loader
    return spec


@contextmanager
def _importing(module: ModuleType, finder: _Beside) -> Iterator[None]:
    """Let a module import by a finder; afterwards all modules are as they were before."""
    ours = {NAME, *finder.files}
    before = {name: sys.modules.pop(name) for name in ours if name in sys.modules}
    sys.modules[NAME] = module
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in ours:
            sys.modules.pop(name, None)
        sys.modules.update(before)
