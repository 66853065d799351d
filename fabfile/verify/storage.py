"""Storage: a file written by one server is the same everywhere, and outsiders get nothing."""

from __future__ import annotations

import re
import secrets
import time

from fabfile.verify.check import Check, Site, judged, together

MOUNT = "/mnt/nas"
VOLUME = "nas"
HEAL_SECONDS = 15


def checks(site: Site) -> list[Check]:
    """Check the shared volume; the files written for it are removed."""
    apps = ", ".join(machine.name for machine in site.scenario.tier("app"))
    return [
        judged(
            f"storage: a file written on each of {apps} is the same on all and on the bricks",
            lambda: _same(site),
        ),
        judged("storage: nothing to heal, no split-brain", lambda: _healed(site)),
        judged("storage: only the app and storage servers may mount it", lambda: _allowed(site)),
    ]


def _same(site: Site) -> tuple[bool, str]:
    apps, bricks = site.scenario.tier("app"), site.scenario.tier("storage")
    prefix = f".verify-{secrets.token_hex(6)}"
    write = (
        f"mountpoint -q {MOUNT} || {{ echo {MOUNT} is not mounted; exit; }}\n"
        f'file="{MOUNT}/{prefix}-$(hostname)"\n'
        'head -c 65536 /dev/urandom > "$file" && sha256sum < "$file"'
    )
    try:
        written = together(apps, lambda app: _digest(site.run(app.name, write)))
        wrong = [
            name for name, digest in written.items() if not re.fullmatch("[0-9a-f]{64}", digest)
        ]
        if wrong:
            return False, f"could not write on {', '.join(wrong)}"
        read = together(apps, lambda app: site.run(app.name, _sums(MOUNT, prefix)).split())
        read |= together(
            bricks, lambda nas: site.run(nas.name, _sums(site.scenario.brick, prefix)).split()
        )
    finally:
        # By one server: they all see the same files.
        for app in apps:
            try:
                site.run(app.name, f"mountpoint -q {MOUNT} && rm -f {MOUNT}/{prefix}-*")
                break
            except Exception:
                continue
    return _compared(site, list(written.values()), read)


def _digest(text: str) -> str:
    found = re.search(r"^([0-9a-f]{64})\b", text, re.M)
    return found[1] if found else ""


def _sums(directory: str, prefix: str) -> str:
    return f"sha256sum {directory}/{prefix}-* 2>/dev/null | cut -d' ' -f1"


def _compared(site: Site, written: list[str], read: dict[str, list[str]]) -> tuple[bool, str]:
    apps = [machine.name for machine in site.scenario.tier("app")]
    bricks = [machine.name for machine in site.scenario.tier("storage")]
    lacking = [name for name in apps if set(read[name]) != set(written)]
    copies = [sum(digest in read[name] for name in bricks) for digest in written]
    wanted = site.scenario.replicas
    ok = not lacking and all(count == wanted for count in copies)
    seen = f"copies on bricks of each file: {', '.join(map(str, copies))} of {wanted}"
    if lacking:
        seen += f"; different on {', '.join(lacking)}"
    return ok, f"{seen}; {len(written)} files removed again"


def _healed(site: Site) -> tuple[bool, str]:
    machine = site.scenario.tier("storage")[0].name
    deadline = time.monotonic() + HEAL_SECONDS
    while True:
        text = site.run(machine, f"gluster volume heal {VOLUME} info summary")
        entries = [
            int(count) for count in re.findall(r"^Total Number of entries: (\d+)", text, re.M)
        ]
        split = [int(count) for count in re.findall(r"in split-brain: (\d+)", text)]
        connected = text.count("Status: Connected")
        wanted = len(site.scenario.tier("storage"))
        ok = connected == len(entries) == wanted and not sum(entries) and not sum(split)
        if ok or time.monotonic() > deadline:
            seen = f"{connected} of {wanted} bricks connected, {sum(entries)} entries to heal"
            return ok, f"{seen}, {sum(split)} in split-brain"
        time.sleep(0.5)


def _allowed(site: Site) -> tuple[bool, str]:
    machine = site.scenario.tier("storage")[0].name
    text = site.run(machine, f"gluster volume get {VOLUME} auth.allow")
    found = re.search(r"^auth\.allow\s+(\S+)", text, re.M)
    allowed = found[1].split(",") if found else []
    members = (*site.scenario.tier("app"), *site.scenario.tier("storage"))
    wanted = {member.address("lan4") for member in members}
    return set(allowed) == wanted, f"auth.allow lists {', '.join(allowed) or 'nothing'}"
