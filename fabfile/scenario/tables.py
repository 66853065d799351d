"""Reads one entry of config.py that is a dictionary of keys with a type each.

Part of `fabfile.scenario.validation`: what is wrong adds a sentence to `mistakes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fabfile.scenario.machines import Table, listed

REQUIRED = object()
# The keys that an entry may have, each with its type and its default.
Keys = Mapping[str, tuple[type, Any]]


def read_table(entries: Table, entry: str, known: Keys, mistakes: list[str]) -> dict[str, Any]:
    """Return the entry with defaults filled in; a wrong value is replaced by its default."""
    given = entries.get(entry, {})
    if not isinstance(given, dict):
        mistakes.append(f"{entry} must be a dictionary")
        given = {}
    for key in given.keys() - known.keys():
        mistakes.append(f"{entry}[{key!r}] is not a known key; known are {listed(known)}")
    table: dict[str, Any] = {}
    for key, (kind, default) in known.items():
        value = given.get(key, default)
        if value is REQUIRED:
            mistakes.append(f"{entry} has no {key!r}; add it")
            value = kind()
        elif key in given and (not isinstance(value, kind) or isinstance(value, bool)):
            words = {str: "text", int: "a whole number", list: "a list", dict: "a dictionary"}
            mistakes.append(f"{entry}[{key!r}] is {value!r}, it must be {words[kind]}")
            value = kind() if default is REQUIRED else default
        table[key] = value
    return table
