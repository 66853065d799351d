"""Renders the files under templates/, each of which lies under its destination path."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fabfile.engine.resources import File
from fabfile.scenario import ROOT


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(ROOT / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def template(
    path: str,
    *,
    mode: int = 0o644,
    owner: str = "root",
    group: str = "root",
    check: str = "",
    secret: bool = False,
    source: str = "",
    **variables: object,
) -> File:
    """Answer the file `path` with what templates/`source` (default: `path`) + ".j2" renders to.

    Raises jinja2.TemplateError for a variable that is not given.
    """
    content = _environment().get_template((source or path).lstrip("/") + ".j2").render(variables)
    return File(path, content, mode, owner, group, check, secret)
