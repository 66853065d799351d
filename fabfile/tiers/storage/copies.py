"""Whether all copies of the files on the volume are the same, read on the storage servers' disks.

Names and sizes of all files, and the beginning of some by chance. While files are being written,
bricks differ for moments: only what differs in every look is wrong.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from fabfile.engine.waiting import wait_until
from fabfile.scenario import Machine
from fabfile.tiers.storage.volumes import Volume
from fabfile.verify.check import Site, together

if TYPE_CHECKING:
    from fabfile.tiers.storage.programs.copies import Content, Given, Overview

PROGRAM = Path(__file__).parent / "programs/copies.py"
# For the names on one server; of more files than that, a part is compared, each time another.
FILES, SECONDS = 50_000, 5
SAMPLE = 40
LOOK_SECONDS = 10


def same(site: Site, volume: Volume) -> tuple[bool, str]:
    """Tell whether all bricks of a set of replicas of a volume hold the same files."""
    files, contents = 0, 0
    wrong: list[str] = []
    for servers in _replicas(site, volume):
        looks, differing = _compared(site, volume, servers)
        files += min(look["files"] for look in looks)
        contents += min(len(look["sample"]) for look in looks)
        wrong += differing
    seen = f"{files} names and sizes, {contents} contents compared"
    return not wrong, f"{seen}; different: {', '.join(wrong[:5])}" if wrong else seen


def _replicas(site: Site, volume: Volume) -> list[list[Machine]]:
    """Return the storage servers in sets that hold the same files, as the volume tells them."""
    storage = site.scenario.tier("storage")
    text = site.run(site.first("storage").name, f"gluster --xml volume info {volume.name}")
    names = [brick.findtext("name") or "" for brick in ElementTree.fromstring(text).iter("brick")]
    by_address = {str(address): each for each in storage for address in each.addresses.values()}
    by_address |= {each.name: each for each in storage}
    servers = [by_address[name.partition(":")[0]] for name in names]
    size = site.scenario.replicas
    return [servers[start : start + size] for start in range(0, len(servers), size)]


def _compared(
    site: Site, volume: Volume, servers: list[Machine]
) -> tuple[list[Overview], list[str]]:
    """Return what was seen on each server, and the paths of the files that stay different."""
    given: Given = {
        "brick": volume.brick,
        "seed": secrets.token_hex(8),
        "files": FILES,
        "seconds": SECONDS,
        "sample": SAMPLE,
        "directories": None,
        "paths": None,
    }

    def asked(**more: list[str]) -> list[Any]:
        wanted = {**given, **more}
        answers = together(
            servers, lambda nas: site.program(nas.name, PROGRAM, wanted, 4 * SECONDS)
        )
        return list(answers.values())

    looks: list[Overview] = asked()
    whole = all(look["whole"] for look in looks)
    differing = _different([look["names"] for look in looks], missing=whole)
    suspects = _different([look["sample"] for look in looks], missing=whole)
    if differing:
        sizes: list[dict[str, int]] = asked(directories=sorted(differing))
        suspects |= _different(sizes)

    def settled(_left: float) -> bool:
        nonlocal suspects
        if suspects:
            contents: list[dict[str, Content]] = asked(paths=sorted(suspects))
            suspects = _different(contents)
        return not suspects

    wait_until(settled, LOOK_SECONDS, 1)
    return looks, sorted(suspects)


def _different(answers: Sequence[Mapping[str, object]], missing: bool = True) -> set[str]:
    """Return the keys whose values differ, and those that only some have if `missing` counts."""
    every = [set(each) for each in answers]
    keys = set.union(*every) if missing else set.intersection(*every)
    return {key for key in keys if any(each.get(key) != answers[0].get(key) for each in answers)}
