"""The machines of the lab as LXC containers: making, starting, stopping and removing them.

Each has a directory `machines/NAME`: `config` for LXC, `upper` with what the machine has written
over its images, `brick` on storage servers, `machine.json` with what it was made from. That file
is written last: a directory without it is what a killed run left, and is removed.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from fabfile.engine.waiting import wait_until
from fabfile.lab import apparmor, disk, render
from fabfile.lab.host import LabError, answers_ssh, run, tail
from fabfile.scenario import Lab, Machine, Scenario

ISOLATE = """\
#!/bin/sh
# Run by LXC with a machine's management interface: an isolated port reaches this computer and no
# other isolated port, see bridge(8). Fabric and packages pass; machines do not see each other.
eval "interface=\\${$#}"
echo 1 > "/sys/class/net/$interface/brport/isolated"
"""
# The machines of a lab boot at the same time, also where a virtual machine is only emulated.
START_SECONDS = 300
# LXC's own programs wait without a limit for a machine to answer, or to be stopped.
LXC_SECONDS = 45


@dataclass
class Record:
    """What a machine was made from; `soft` is what can change while it lives."""

    definition: Mapping[str, str]
    layers: list[str]
    bare: bool
    soft: Mapping[str, str]
    rough: bool = False

    @property
    def kind(self) -> str:
        """What it was made as: prepared, bare or rough."""
        return "rough" if self.rough else "bare" if self.bare else "prepared"


def homes(lab: Lab) -> Path:
    """Return the directory with a directory for each machine."""
    return lab.directory / "machines"


def images(lab: Lab) -> Path:
    """Return the directory of the images."""
    return lab.directory / "images"


def there(lab: Lab) -> set[str] | None:
    """Return the names of the machines on this computer, None when there is no lab."""
    return {home.name for home in homes(lab).iterdir()} if homes(lab).is_dir() else None


def records(lab: Lab) -> dict[str, Record | None]:
    """Return what each machine on the disk was made from; None where the making was cut short."""
    found: dict[str, Record | None] = {}
    for home in sorted(homes(lab).glob("*")):
        path = home / "machine.json"
        found[home.name] = Record(**json.loads(path.read_text())) if path.exists() else None
    return found


def running(lab: Lab) -> set[str]:
    """Return the names of the machines that run."""
    if not homes(lab).exists():
        return set()
    return set(run("lxc-ls", "-P", homes(lab), "--running", "-1", limit=LXC_SECONDS).split())


def create(
    scenario: Scenario,
    machine: Machine,
    layers: list[Path],
    kind: str,
    soft: Mapping[str, str],
    extra: Mapping[str, str],
) -> None:
    """Make a machine's directory again, with its own host key, addresses and machine-id.

    `extra` are more files of its, by path; `kind` is kept for the record.
    """
    home = homes(scenario.lab) / machine.name
    remove(scenario.lab, machine.name)
    upper = home / "upper"
    upper.mkdir(parents=True)
    if render.brick_mount(scenario, machine):
        (home / "brick").mkdir()
    key = home / "host_key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"root@{machine.name}", "-f", key)
    files = {
        **render.networkd_files(scenario, machine),
        "/etc/hostname": f"{machine.name}\n",
        "/etc/machine-id": f"{secrets.token_hex(16)}\n",
        "/etc/ssh/sshd_config.d/10-lab.conf": render.sshd(machine),
        "/etc/ssh/ssh_host_ed25519_key.pub": key.with_suffix(".pub").read_text(),
    }
    for path, text in files.items():
        disk.put(upper, layers, path, text)
    disk.put(upper, layers, "/etc/ssh/ssh_host_ed25519_key", key.read_text(), mode=0o600)
    key.unlink()
    disk.own_certificate(upper, layers, machine)
    for path, text in soft.items():
        disk.put_soft(upper, layers, path, text, render.user(machine))
    for path, text in extra.items():
        owner = disk.owner_of(layers, render.user(machine)) if path.startswith("/home/") else (0, 0)
        disk.put(upper, layers, path, text, owner=owner)
    record = Record(
        render.definition(scenario, machine),
        [str(layer) for layer in layers],
        kind != "prepared",
        dict(soft),
        kind == "rough",
    )
    _write_record(home, record)


def refresh(scenario: Scenario, machine: Machine, record: Record, soft: Mapping[str, str]) -> bool:
    """Bring names, name servers and login key of an existing machine up to date; was it needed?"""
    if record.soft == soft:
        return False
    home = homes(scenario.lab) / machine.name
    for path, text in soft.items():
        if record.soft.get(path) == text:
            continue
        if machine.name in running(scenario.lab):
            # Not through the upper directory: changing that under a mounted overlay is undefined.
            attach = ("lxc-attach", "-P", home.parent, "-n", machine.name, "--")
            run(*attach, "sh", "-c", 'cat > "$0"', path, stdin=text)
        else:
            layers = [Path(layer) for layer in record.layers]
            disk.put_soft(home / "upper", layers, path, text, render.user(machine))
    _write_record(home, replace(record, soft=dict(soft)))
    return True


def start(scenario: Scenario, machine: Machine) -> None:
    """Start a machine and wait until its SSH server answers; raises LabError with LXC's log."""
    lab = scenario.lab
    home = homes(lab) / machine.name
    _kill_remains(home)
    layers = [Path(layer) for layer in json.loads((home / "machine.json").read_text())["layers"]]
    isolate = lab.directory / "isolate"
    config = render.lxc_config(scenario, machine, home, layers, isolate, apparmor.profile(lab))
    (home / "config").write_text(config)
    for log in ("lxc.log", "console.log"):
        (home / log).unlink(missing_ok=True)
    try:
        run("lxc-start", "-P", home.parent, "-n", machine.name)
    except LabError as error:
        raise LabError(f"{machine.name} did not start: {error}\n{_log(home / 'lxc.log')}") from None
    await_ssh(lab, machine)


def await_ssh(lab: Lab, machine: Machine) -> None:
    """Wait until a running machine's SSH server answers; raises LabError with its console."""
    home = homes(lab) / machine.name
    address, port = machine.management, render.port(machine)
    if not wait_until(lambda left: answers_ssh(address, port, left), START_SECONDS):
        raise LabError(
            f"{machine.name} runs, but no SSH server answered at {address}:{port} within "
            f"{START_SECONDS} s. Its console said last:\n{_log(home / 'console.log')}"
        )


def stop(lab: Lab, name: str, kill: bool = False) -> None:
    """Shut a machine down; `kill` takes it away at once, as a power cut does."""
    home = homes(lab) / name
    if name in running(lab):
        how = ["--kill"] if kill else ["--timeout", "30"]
        try:
            run("lxc-stop", "-P", home.parent, "-n", name, *how, limit=LXC_SECONDS)
        except LabError:
            _kill_remains(home)
            if not wait_until(lambda left: name not in running(lab), 10):
                raise
    _kill_remains(home)


def remove(lab: Lab, name: str) -> None:
    """Stop a machine at once and delete all that it has written."""
    home = homes(lab) / name
    if home.exists():
        if (home / "config").exists():
            stop(lab, name, kill=True)
        shutil.rmtree(home)


def write_isolate(lab: Lab) -> None:
    """Write the script that LXC runs for each management interface."""
    script = lab.directory / "isolate"
    if not script.exists() or script.read_text() != ISOLATE:
        script.write_text(ISOLATE)
        script.chmod(0o755)


def host_keys(lab: Lab) -> dict[str, str]:
    """Return the public SSH host key of each machine: type and key."""
    return {
        name: " ".join((homes(lab) / name / "host_key.pub").read_text().split()[:2])
        for name, record in records(lab).items()
        if record
    }


def _write_record(home: Path, record: Record) -> None:
    new = home / "machine.json.new"
    new.write_text(json.dumps(asdict(record), indent=1))
    new.replace(home / "machine.json")


def _log(path: Path) -> str:
    text = path.read_text(errors="replace") if path.exists() else ""
    return tail(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)) or "    (nothing)"


def _kill_remains(home: Path) -> None:
    """Kill what still runs on a machine's disk though LXC's own process for it is gone.

    Such processes are told by their root, an overlay whose upper directory is the machine's.
    """
    if not home.exists():
        return
    own = re.compile(rf"^\S+ \S+ \S+ / / .*[ ,]upperdir={re.escape(str(home))}/upper[, ]", re.M)

    def remains(_left: float = 0) -> list[int]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if own.search((process / "mountinfo").read_text()):
                    found.append(int(process.name))
            except OSError:
                continue  # it ended while we looked
        return found

    for process in remains():
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    if not wait_until(lambda left: not remains(left), 10):
        raise LabError(f"Processes of {home.name} do not end: {remains()}; restart this computer.")
