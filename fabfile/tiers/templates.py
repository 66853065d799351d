"""Renders the files under templates/, each of which lies under its destination path.

What several of them include is in templates/parts/.
"""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined

from fabfile.engine.resources import File
from fabfile.scenario import ROOT
from fabfile.scenario.model import STATES

# To compile the templates takes longer than all else that this program computes.
COMPILED = STATES / ".templates"


@cache
def _environment() -> Environment:
    # What is kept is code, so that nobody but its owner may write there.
    COMPILED.mkdir(mode=0o700, parents=True, exist_ok=True)
    environment = Environment(
        bytecode_cache=FileSystemBytecodeCache(str(COMPILED)),
        loader=FileSystemLoader(ROOT / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["quoted"] = _quoted
    return environment


def _quoted(value: str) -> str:
    """Return a value of EnvironmentFile= that is read as it is: systemd.exec(5)."""
    return '"' + "".join(f"\\{sign}" if sign in '\\"`$' else sign for sign in value) + '"'


def render(path: str, /, **variables: object) -> str:
    """Return what templates/`path` + ".j2" renders to.

    Raises jinja2.TemplateError for a variable that is not given.
    """
    return _environment().get_template(path.lstrip("/") + ".j2").render(variables)


def template(
    path: str,
    /,
    *,
    mode: int = 0o644,
    owner: str = "root",
    group: str = "root",
    check: str = "",
    secret: bool = False,
    source: str = "",
    **variables: object,
) -> File:
    """Return the file `path` with what the template `source` (default: `path`) renders to."""
    return File(path, render(source or path, **variables), mode, owner, group, check, secret)
