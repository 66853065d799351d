"""Whether all copies of the files on the volume are the same, read on the storage servers' disks.

Names and sizes of all files, and the beginning of some by chance. While files are being written,
bricks differ for moments: only what differs in every look is wrong.
"""

from __future__ import annotations

import json
import secrets
from xml.etree import ElementTree

from fabfile.engine.waiting import wait_until
from fabfile.scenario import Machine
from fabfile.verify.check import Site, together

VOLUME = "nas"
# For the names on one server; of more files than that, a part is compared, each time another.
FILES, SECONDS = 50_000, 5
SAMPLE = 40
LOOK_SECONDS = 10

PROGRAM = """
import hashlib, heapq, json, os, time

given = GIVEN
end = time.monotonic() + given["seconds"]

def rank(path):
    return hashlib.md5((given["seed"] + path).encode(errors="replace")).digest()

def directories():
    for directory, below, _ in os.walk(given["brick"]):
        if directory == given["brick"]:
            below[:] = [each for each in below if each != ".glusterfs"]
        yield os.path.relpath(directory, given["brick"])

def listed(directory):
    found = {}
    try:
        for entry in os.scandir(os.path.join(given["brick"], directory)):
            # What begins with a dot comes and goes: probes, and what is not complete yet.
            if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False):
                found[os.path.join(directory, entry.name)] = entry.stat().st_size
    except OSError:
        pass
    return found

def digest(path):
    try:
        with open(os.path.join(given["brick"], path), "rb") as file:
            start = hashlib.sha256(file.read(1 << 20)).hexdigest()
            return [os.fstat(file.fileno()).st_size, start]
    except OSError:
        return None

def overview():
    names, count, sample, whole = {}, 0, [], True
    for directory in sorted(directories(), key=rank):
        if count > given["files"] or time.monotonic() > end:
            whole = False
            break
        found = listed(directory)
        count += len(found)
        said = repr(sorted(found.items())).encode(errors="replace")
        names[directory] = hashlib.sha256(said).hexdigest()
        sample = heapq.nsmallest(given["sample"], [*sample, *found], key=rank)
    contents = {path: digest(path) for path in sample}
    return {"files": count, "whole": whole, "names": names, "sample": contents}

if given["directories"] is not None:
    answer = {path: size for each in given["directories"] for path, size in listed(each).items()}
elif given["paths"] is not None:
    answer = {path: digest(path) for path in given["paths"]}
else:
    answer = overview()
print(json.dumps(answer))
"""


def same(site: Site) -> tuple[bool, str]:
    """Tell whether all bricks of a set of replicas hold the same files."""
    files, contents, wrong = 0, 0, []
    for servers in _replicas(site):
        looks, differing = _compared(site, servers)
        files += min(look["files"] for look in looks)
        contents += min(len(look["sample"]) for look in looks)
        wrong += differing
    seen = f"{files} names and sizes, {contents} contents compared"
    return not wrong, f"{seen}; different: {', '.join(wrong[:5])}" if wrong else seen


def _replicas(site: Site) -> list[list[Machine]]:
    """Return the storage servers in sets that hold the same files, as the volume tells them."""
    storage = site.scenario.tier("storage")
    text = site.run(site.first("storage").name, f"gluster --xml volume info {VOLUME}")
    names = [brick.findtext("name") or "" for brick in ElementTree.fromstring(text).iter("brick")]
    by_address = {str(address): each for each in storage for address in each.addresses.values()}
    by_address |= {each.name: each for each in storage}
    servers = [by_address[name.partition(":")[0]] for name in names]
    size = site.scenario.replicas
    return [servers[start : start + size] for start in range(0, len(servers), size)]


def _compared(site: Site, servers: list[Machine]) -> tuple[list[dict], list[str]]:
    """Return what was seen on each server, and the paths of the files that stay different."""
    given = {"seed": secrets.token_hex(8), "brick": site.scenario.brick, "directories": None}
    given |= {"paths": None, "files": FILES, "seconds": SECONDS, "sample": SAMPLE}

    def asked(**more: object) -> list[dict]:
        program = f"GIVEN = {given | more!r}\n{PROGRAM}"
        answers = together(servers, lambda nas: site.python(nas.name, program, 4 * SECONDS))
        return [json.loads(answer) for answer in answers.values()]

    looks = asked()
    whole = all(look["whole"] for look in looks)
    differing = _different([look["names"] for look in looks], missing=whole)
    suspects = _different([look["sample"] for look in looks], missing=whole)
    if differing:
        suspects |= _different(asked(directories=sorted(differing)))

    def settled(_left: float) -> bool:
        nonlocal suspects
        suspects = _different(asked(paths=sorted(suspects))) if suspects else suspects
        return not suspects

    wait_until(settled, LOOK_SECONDS, 1)
    return looks, sorted(suspects)


def _different(answers: list[dict], missing: bool = True) -> set[str]:
    """Return the keys whose values differ, and those that only some have if `missing` counts."""
    keys = set().union(*answers) if missing else set.intersection(*map(set, answers))
    return {key for key in keys if any(each.get(key) != answers[0].get(key) for each in answers)}
