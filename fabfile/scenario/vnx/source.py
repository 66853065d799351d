"""Writes a scenario that was read from VNX files as a config.py that a person reads and edits."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

from fabfile.scenario.vnx.merging import Imported
from fabfile.scenario.vnx.names import shown

TEXT = '''\
"""A scenario read from files of VNX by `invoke scenario.import`. Yours to edit.

CRM_CONFIG with the path of this file before a command has that command use it.
"""

{comment}

# The application and its ports are those of the project's config.py.
from config import APPLICATION, APPLICATIONS, PORTS  # noqa: F401

NAME = {name}

# "management" is the whole range of vm_mgmt: VNX makes a network of four addresses of it for each
# machine, between that and the host alone; the lab keeps the machines on it apart, too.
NETWORKS = {networks}

MACHINES = {machines}

# Machines of VNX let root in by key; the lab makes this one. For machines that VNX has started, of
# Debian 12 or 13: "key": "~/.ssh/id_rsa", and no "known_hosts", for the one of ~/.ssh.
LOGIN = {login}

STORAGE = {storage}

# A lab of its own: that of config.py is left alone.
LAB = {lab}
'''


def source_text(imported: Imported, files: Sequence[str]) -> str:
    """Return the text of a config.py for what was read from files of these names."""
    state = f".state/{imported.name}"
    login = {
        "user": "root",
        "key": f"{state}/id_ed25519",
        "known_hosts": f"{state}/known_hosts",
    }
    return TEXT.format(
        comment=_comment(imported, files),
        name=json.dumps(imported.name),
        networks=_lines(imported.networks),
        machines=_lines(imported.machines),
        login=_lines(login),
        storage=_lines({"replicas": 3, "brick": imported.brick}),
        lab=_lines({"directory": f"/var/lib/crm-{imported.name}", "bridge_prefix": "vnx-"}),
    )


def _comment(imported: Imported, files: Sequence[str]) -> str:
    """Return the comment that says what was read, and what of it was not taken over."""
    begin = f"Read from {shown(', '.join(files))}."
    lines = textwrap.wrap(f"{begin} Not taken over:" if imported.notes else begin, 96)
    for note in imported.notes:
        lines += textwrap.wrap(f"- {note}", 96, subsequent_indent="  ")
    return "\n".join(f"# {line}" for line in lines)


def _lines(value: Any, indent: str = "") -> str:
    """Return a value as Python, a dictionary with a line for each entry unless it is short."""
    if not isinstance(value, dict):
        return json.dumps(value)
    entries = [f"{json.dumps(key)}: {_lines(each, indent + '    ')}" for key, each in value.items()]
    short = "{" + ", ".join(entries) + "}"
    if indent and len(indent) + len(short) < 80 and "\n" not in short:
        return short
    body = "".join(f"{indent}    {entry},\n" for entry in entries)
    return "{\n" + body + indent + "}"
