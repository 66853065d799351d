"""Reads APPLICATIONS of config.py, and says what is wrong with each application.

Part of `fabfile.scenario.validation`: each check adds one sentence to `mistakes` and goes on.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from fabfile.scenario.machines import Table, listed
from fabfile.scenario.model import ROOT
from fabfile.scenario.parts import Application, Process
from fabfile.scenario.tables import REQUIRED, Keys, read_table
from fabfile.scenario.variables import OURS, unknown
from fabfile.tiers.app.sources import REF, is_url

KEYS: Keys = {
    "name": (str, REQUIRED),
    "source": (str, REQUIRED),
    "start": (str, REQUIRED),
    "processes": (dict, {}),
    "health": (list, REQUIRED),
    "ref": (str, ""),
    "packages": (list, ()),
    "build_packages": (list, ()),
    "build": (str, ""),
    "files": (dict, {}),
    "migrate": (str, ""),
    "seed": (str, ""),
    "secure": (str, ""),
    "checks": (str, ""),
    "missing": (str, ""),
    "administrator": (str, "admin"),
    "uploads": (str, ""),
    "temporary": (list, ()),
    "connections": (int, 20),
    "pool": (str, "session"),
    "memory": (int, 400),
    "uid": (int, 900),
    "log": (str, "all"),
    "exclude": (list, ()),
    "environment": (dict, {}),
}
PROCESS: Keys = {"start": (str, REQUIRED), "on": (str, "every")}


def read_applications(entries: dict[str, Any], mistakes: list[str]) -> list[Application]:
    """Return all applications, first the one that APPLICATION names, or is itself."""
    known = entries.get("APPLICATIONS", {})
    if not isinstance(known, dict):
        mistakes.append("APPLICATIONS must be a dictionary of name -> description")
        known = {}
    chosen = entries.get("APPLICATION", {})
    found = {
        name: _read(f"APPLICATIONS[{name!r}]", {"name": name, **given}, mistakes)
        for name, given in known.items()
        if _is_table(name, given, mistakes)
    }
    if isinstance(chosen, dict):
        first = _read("APPLICATION", chosen, mistakes)
        found = {first.name: first, **{k: each for k, each in found.items() if k != first.name}}
    elif not isinstance(chosen, str) or chosen not in known:
        mistakes.append(f"APPLICATION is {chosen!r}, it must be one of {listed(map(str, known))}")
    uids: dict[int, str] = {}
    for name, each in found.items():
        if each.uid in uids:
            other = uids[each.uid]
            mistakes.append(f"APPLICATIONS[{name!r}]['uid'] is {each.uid}, which {other} has")
        uids.setdefault(each.uid, name)
    # The one that runs first: what is known of it holds for the scenario.
    return sorted(found.values(), key=lambda each: each.name != chosen)


def _is_table(name: object, given: object, mistakes: list[str]) -> bool:
    if not isinstance(given, dict):
        mistakes.append(f"APPLICATIONS[{name!r}] must be a dictionary")
    return isinstance(given, dict)


def _read(entry: str, given: Table, mistakes: list[str]) -> Application:
    if "health" in given and not isinstance(given["health"], list):
        given = {**given, "health": [given["health"]]}
    table = read_table({entry: given}, entry, KEYS, mistakes)
    _check_words(entry, table, mistakes)
    _check_health(entry, table["health"], "health" in given, mistakes)
    _check_source(entry, table, mistakes)
    _check_environment(entry, table, mistakes)
    lists = {key: tuple(table[key]) for key, (kind, _) in KEYS.items() if kind is list}
    files = {str(name): ROOT / str(path) for name, path in table["files"].items()}
    processes = _processes(f"{entry}['processes']", table["processes"], mistakes)
    return Application(**{**table, **lists, "files": files, "processes": processes})


def _processes(entry: str, given: Table, mistakes: list[str]) -> tuple[Process, ...]:
    found = []
    for name, described in given.items():
        where = f"{entry}[{name!r}]"
        # It names a systemd unit, together with the application.
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", str(name)):
            mistakes.append(
                f"{where}: a process is named by a lower-case letter, then lower-case letters, "
                "digits, '-' and '_', 31 at most"
            )
        table = read_table({where: described}, where, PROCESS, mistakes)
        if table["on"] not in ("every", "one"):
            mistakes.append(f"{where}['on'] is {table['on']!r}, it must be every or one (server)")
        found.append(Process(str(name), table["start"], single=table["on"] == "one"))
    return tuple(found)


def _check_words(entry: str, table: Table, mistakes: list[str]) -> None:
    # It names a system user, a database and directories: PostgreSQL and useradd agree on these.
    if table["name"] and not re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", table["name"]):
        mistakes.append(
            f"{entry}['name'] is {table['name']!r}, it must begin with a lower-case "
            "letter and hold only lower-case letters, digits, '-' and '_', 31 at most"
        )
    for key in ("packages", "build_packages", "exclude", "temporary"):
        if not all(isinstance(value, str) for value in table[key]):
            mistakes.append(f"{entry}[{key!r}] is {table[key]!r}, each must be text")
    if not 1 <= table["connections"] <= 500:
        mistakes.append(f"{entry}['connections'] is {table['connections']}, it must be 1 to 500")
    if table["pool"] not in ("session", "transaction"):
        mistakes.append(f"{entry}['pool'] is {table['pool']!r}, it must be session or transaction")
    if table["memory"] < 64:
        mistakes.append(f"{entry}['memory'] is {table['memory']} MiB, 64 at least")
    if table["log"] not in ("all", "errors"):
        mistakes.append(f"{entry}['log'] is {table['log']!r}, it must be all or errors")
    if table["secure"] and not table["seed"]:
        mistakes.append(f"{entry}['secure'] comes after the seed: add 'seed', or remove it")


def _check_health(entry: str, pages: list[Any], given: bool, mistakes: list[str]) -> None:
    if given and not pages:
        mistakes.append(f"{entry}['health'] names no page; name one that answers 200")
    for page in pages:
        if not isinstance(page, str) or not page.startswith("/"):
            mistakes.append(f"{entry}['health'] is {page!r}, it must begin with /")
        elif pages.count(page) > 1:
            mistakes.append(f"{entry}['health'] names {page} twice; remove one")
            break


def _check_source(entry: str, table: Table, mistakes: list[str]) -> None:
    source, ref = table["source"], table["ref"]
    if source and not is_url(source) and not (ROOT / source).exists():
        mistakes.append(
            f"{entry}['source'] is {source!r}, no such directory, git bundle or tarball"
        )
    if is_url(source) and not ref:
        mistakes.append(f"{entry}['source'] is a git URL: add the commit to take as 'ref'")
    if ref and not REF.fullmatch(ref):
        mistakes.append(f"{entry}['ref'] is {ref!r}, it must be a commit, a tag or a branch")
    inside = [("files", name) for name in table["files"]]
    inside += [("temporary", name) for name in table["temporary"]]
    inside += [("uploads", table["uploads"])] if table["uploads"] else []
    for key, name in inside:
        path = PurePosixPath(str(name))
        if path.is_absolute() or ".." in path.parts or not path.parts:
            mistakes.append(f"{entry}[{key!r}] has {name!r}, it must be a path in the release")
    for name, path in table["files"].items():
        if not isinstance(path, str) or not (ROOT / Path(path)).is_file():
            mistakes.append(f"{entry}['files'][{name!r}] is {path!r}, no such file")


def _check_environment(entry: str, table: Table, mistakes: list[str]) -> None:
    for name, value in table["environment"].items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(name)) or not isinstance(value, str):
            mistakes.append(f"{entry}['environment'][{name!r}] must be a name with a text value")
        elif name in OURS:
            mistakes.append(f"{entry}['environment'][{name!r}] is set by the deployer, remove it")
        else:
            mistakes += [
                f"{entry}['environment'][{name!r}] refers to ${{{other}}}; known are "
                f"{listed(OURS)}, and $${{{other}}} is the text ${{{other}}} itself"
                for other in unknown(value)
            ]
