"""Storage: a file written by one server is the same everywhere, and outsiders get nothing."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from fabfile.engine.remote import MachineError
from fabfile.engine.waiting import wait_until
from fabfile.scenario import Machine
from fabfile.tiers.storage import backup_checks, copies
from fabfile.tiers.storage.volumes import Volume, volumes
from fabfile.verify.check import Check, Site, judged, together

MOUNT = "/mnt/nas"
HANDSHAKE = Path(__file__).parent / "programs/handshake.py"
HEAL_SECONDS, STATUS_SECONDS = 15, 15
# Of the files that are written for the checks, in the root of the volume.
PREFIX = ".verify-"


def checks(site: Site) -> list[Check]:
    """Check the shared volume; the files written for it are removed."""
    if not site.scenario.tier("storage"):
        return [_alone(site), *backup_checks.checks(site)]
    apps = ", ".join(machine.name for machine in site.scenario.present("app"))
    first, *others = volumes(site.scenario)
    return [
        judged(
            f"storage: a file written on each of {apps} is the same on all and on the bricks",
            lambda: _same(site),
        ),
        *_of_volume(site, first, "", "the volume", site.scenario.present("app")),
        *(
            check
            for each in others
            for check in _of_volume(
                site,
                each,
                f"{each.name}: ",
                f"the volume {each.name}",
                site.scenario.present("storage"),
            )
        ),
        *backup_checks.checks(site),
    ]


def _of_volume(
    site: Site, volume: Volume, where: str, said: str, members: Sequence[Machine]
) -> list[Check]:
    """Return the checks that each volume has; `members` are to mount it, as others are not."""
    names = ", ".join(machine.name for machine in members)
    # Each stands on the storage network and has no business there.
    insiders = {*volume.clients, "storage"}
    tiers = [tier for tier in ("app", "database") if tier not in insiders]
    # One that is of both tiers is asked once.
    strangers = {
        machine.name: machine
        for tier in tiers
        for machine in site.scenario.present(tier)[:1]
        if not insiders & {*machine.tiers}
    }
    refused = f", {' and '.join(strangers)} may not" if strangers else ""
    return [
        judged(f"storage: {where}nothing to heal, no split-brain", lambda: _healed(site, volume)),
        judged(f"storage: {where}all copies are the same", lambda: copies.same(site, volume)),
        judged(
            f"storage: {names} may mount {said}{refused}",
            lambda: _mountable(site, volume, members, [*strangers.values()]),
        ),
    ]


def _alone(site: Site) -> Check:
    """Return the warning of a scenario that keeps each file once."""
    app = site.first("app")
    seen = f"no: they are on {app.name} alone; three machines of the tier 'storage' would keep them"
    return Check("storage: uploads survive the loss of a machine", True, seen, warning=True)


def _same(site: Site) -> tuple[bool, str]:
    apps, bricks = site.scenario.present("app"), site.scenario.tier("storage")
    prefix = f"{PREFIX}{secrets.token_hex(6)}"
    try:
        written = together(
            apps, lambda app: _digest(site.run(app.name, _write(f"{prefix}-{app.name}")))
        )
        wrong = [name for name, digest in written.items() if not digest]
        if not wrong:
            read = together(apps, lambda app: site.run(app.name, _sums(MOUNT, prefix)).split())
            read |= together(
                bricks, lambda nas: site.run(nas.name, _sums(site.scenario.brick, prefix)).split()
            )
    finally:
        left = _remove(site, prefix)
    if wrong:
        return False, f"could not write on {', '.join(wrong)}"
    ok, seen = _compared(site, list(written.values()), read)
    return ok and not left, f"{seen}; {left or f'{len(written)} files removed again'}"


def _write(name: str) -> str:
    """Return shell that writes a file and prints its digest, and removes what was left before."""
    # Left by a verify that was killed: none takes so many minutes.
    old = f"find {MOUNT} -maxdepth 1 -name '{PREFIX}*' -mmin +5 -delete 2>/dev/null"
    return (
        f"mountpoint -q {MOUNT} || {{ echo {MOUNT} is not mounted; exit; }}\n"
        f'{old}\nfile="{MOUNT}/{name}"\n'
        'head -c 65536 /dev/urandom > "$file" && sha256sum < "$file"'
    )


def _remove(site: Site, prefix: str) -> str:
    """Remove the files; answer what is left, if anything is.

    By each server: one is enough, but any of them may be gone, and its mount, too.
    """

    def removed(app: Machine) -> bool:
        try:
            script = f"mountpoint -q {MOUNT} && rm -f {MOUNT}/{prefix}-* && echo removed"
            return "removed" in site.run(app.name, script)
        except MachineError:
            return False

    if any(together(site.scenario.present("app"), removed).values()):
        return ""
    return f"no server could remove the files {MOUNT}/{prefix}-*"


def _digest(text: str) -> str:
    found = re.search(r"^([0-9a-f]{64})\b", text, re.M)
    return found[1] if found else ""


def _sums(directory: str, prefix: str) -> str:
    return f"sha256sum {directory}/{prefix}-* 2>/dev/null | cut -d' ' -f1"


def _compared(site: Site, written: list[str], read: dict[str, list[str]]) -> tuple[bool, str]:
    apps = [machine.name for machine in site.scenario.present("app")]
    bricks = [machine.name for machine in site.scenario.tier("storage")]
    lacking = [name for name in apps if set(read[name]) != set(written)]
    copies = [sum(digest in read[name] for name in bricks) for digest in written]
    wanted = site.scenario.replicas
    ok = not lacking and all(count == wanted for count in copies)
    seen = f"copies on bricks of each file: {', '.join(map(str, copies))} of {wanted}"
    if lacking:
        seen += f"; different on {', '.join(lacking)}"
    return ok, f"{seen}"


def _healed(site: Site, volume: Volume) -> tuple[bool, str]:
    """Wait until no entry is left, or none has stayed: files that are being written come and go."""
    machine = site.first("storage").name
    wanted = len(site.scenario.tier("storage"))
    staying: set[str] | None = None
    seen = ""

    def healed(_left: float) -> bool:
        nonlocal seen, staying
        text = site.run(machine, f"gluster volume heal {volume.name} info", HEAL_SECONDS)
        entries = set(re.findall(r"^(?:/|<gfid:).*?(?= - |$)", text, re.M))
        staying = entries if staying is None else staying & entries
        split = text.count("Is in split-brain")
        connected = text.count("Status: Connected")
        counted = len(re.findall(r"^Number of entries: \d+$", text, re.M))
        seen = f"{connected} of {wanted} bricks connected, {len(staying)} entries to heal"
        seen += f", {split} in split-brain"
        return connected == counted == wanted and not staying and not split

    return wait_until(healed, HEAL_SECONDS, 0.5), seen


def _mountable(
    site: Site, volume: Volume, members: Sequence[Machine], strangers: Sequence[Machine]
) -> tuple[bool, str]:
    bricks = _bricks(site, volume)

    def asked(machine: Machine) -> list[str]:
        said: list[str] = site.program(machine.name, HANDSHAKE, bricks, 30)
        return said

    answers = together([*strangers, *members], asked)
    seen = [f"{name}: {', '.join(sorted(set(said)))}" for name, said in answers.items()]
    refused = [answers.pop(each.name) for each in strangers]
    servers, guarded = len(site.scenario.tier("storage")), bool(site.scenario.guarded)
    ok = all(len(said) == servers and kept_out(said, guarded) for said in refused)
    return ok and all(set(said) == {"accepted"} for said in answers.values()), "; ".join(seen)


def kept_out(said: list[str], guarded: bool) -> bool:
    """Return whether the bricks kept a stranger out, by what came of its asking each.

    The volume refuses it. On machines that are `guarded` by rules of their own, it may be that it
    cannot ask at all, which elsewhere says nothing: whoever has its address may be heard.
    """
    refusals = {"EACCES", "timed out"} if guarded else {"EACCES"}
    return refusals.issuperset(said)


def _bricks(site: Site, volume: Volume) -> list[tuple[str, int, str]]:
    """Return address, port and path of each brick that runs, from the volume's own status."""
    nodes = [
        [node.findtext(name, "") for name in ("hostname", "port", "path", "status")]
        for node in _status(site, volume).iter("node")
    ]
    return [
        (host, int(port), path)
        for host, port, path, running in nodes
        if path.startswith("/") and running == "1"
    ]


def _status(site: Site, volume: Volume) -> ElementTree.Element:
    """Return the volume's status; raises RuntimeError with what GlusterFS says instead of it."""
    machine = site.first("storage").name
    status = ElementTree.Element("none")

    def told(_left: float) -> bool:
        nonlocal status
        text = site.run(machine, f"gluster --xml volume status {volume.name}", STATUS_SECONDS)
        status = ElementTree.fromstring(text)
        return status.findtext("opRet") == "0"

    # Only one can ask at a time: who comes second, such as another verify, is refused.
    if not wait_until(told, STATUS_SECONDS, 0.5):
        raise RuntimeError(f"{machine}: {status.findtext('opErrstr')}")
    return status
