"""A stock Debian 13 that bin/make-vm made: a student does there what README says.

It has what people's own computers have: AppArmor, cgroup v2 only, systemd-resolved, a user whose
PATH has no /usr/sbin and whom sudo asks for a password. Where the processor offers no virtual
machines QEMU interprets it: then all of it takes ten to twenty times as long.
"""

import io
import os
import re
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from fabric import Config, Connection
from invoke import Responder

from fabfile.lab.images import AUTHORITIES
from tests.lab.commands import as_root, run, wait_for
from tests.lab.places import ROOT

QEMU = "qemu-system-x86_64"
USER, PASSWORD = "student", "student"
MEMORY_MB = 6144
# In seconds, for two processors that other programs need, too.
MAKING, BOOTING, FIRST, AGAIN = 1800, 900, 9000, 1800
# What moves the cursor, and colours: ECMA-48, 5.4.
CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
SUDO = Responder(r"\[sudo\] password for \w+: ", f"{PASSWORD}\n")
KVM = ("-accel", "kvm", "-cpu", "host")
# Its clock goes on by what it executes, a nanosecond an instruction: nothing in it meets a limit
# because this computer is slow or busy.
INTERPRETED = (
    *("-accel", "tcg,thread=single", "-cpu", "Nehalem"),
    *("-icount", "shift=0,sleep=on"),
)
# This computer's loopback address as QEMU's user network shows it.
LOOPBACK = "10.0.2.2"


def settings():
    """Return this computer's own settings for the way to packages, as files by path."""
    authorities = [*AUTHORITIES.glob("*.crt")]
    files = {str(path): path.read_text() for path in authorities}
    proxies = run("apt-config", "dump", "Acquire").out.splitlines()
    files["/etc/apt/apt.conf.d/99outside"] = "".join(
        f"{line}\n" for line in proxies if re.search(r'Proxy\S* "[^"]', line)
    )
    wanted = re.compile(r"(https?|no)_proxy|PIP_(EXTRA_)?INDEX_URL", re.IGNORECASE)
    kept = {name: value for name, value in os.environ.items() if wanted.fullmatch(name)}
    if authorities:
        kept["PIP_CERT"] = "/etc/ssl/certs/ca-certificates.crt"
    files["/etc/environment"] = "".join(f"{name}={value}\n" for name, value in kept.items())
    local = re.compile(r"//(localhost|127\.0\.0\.1)(?=[:/])")
    return {path: local.sub(f"//{LOOPBACK}", text) for path, text in files.items()}


def processor():
    """Return QEMU's options for the processor, the real one where it offers virtual machines.

    A /dev/kvm alone does not tell: under some hypervisors it opens, and its machines stand still.
    """
    offered = re.search(r"^flags\b.*\b(vmx|svm)\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    usable = offered and os.access("/dev/kvm", os.R_OK | os.W_OK)
    return KVM if usable else INTERPRETED


@contextmanager
def running(disk: Path):
    """Start a machine from the disk, give a connection to it, and power it off at the end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    console = disk.with_suffix(".log")
    machine = subprocess.Popen(
        [
            *("nice", "-n", "19", "setpriv", "--pdeathsig", "KILL", "--", QEMU),
            *processor(),
            *("-smp", "2", "-m", f"{MEMORY_MB}"),
            *("-drive", f"file={disk},if=virtio,cache=unsafe"),
            *("-netdev", f"user,id=nat,hostfwd=tcp:127.0.0.1:{port}-:22"),
            *("-device", "virtio-net-pci,netdev=nat", "-display", "none", "-no-reboot"),
            *("-serial", f"file:{console}", "-monitor", "none"),
        ]
    )
    try:
        connection = Connection(
            "127.0.0.1",
            user=USER,
            port=port,
            # Ours may be at its end, and would end that of sudo before the password is asked for.
            config=Config(overrides={"run": {"in_stream": False}}),
            connect_timeout=60,
            connect_kwargs={
                "password": PASSWORD,
                "allow_agent": False,
                "look_for_keys": False,
                "banner_timeout": 120,
                "auth_timeout": 120,
            },
        )
        try:
            wait_for(
                "SSH of the machine",
                lambda: machine.poll() is not None or connection.open() or True,
                BOOTING,
            )
            assert machine.poll() is None, "QEMU has ended; see above."
        except AssertionError as error:
            said = console.read_text(errors="replace")[-2000:]
            raise AssertionError(f"{error}\nIts console said last:\n{said}") from None
        with connection:
            yield connection
            connection.sudo("systemctl --no-block poweroff", password=PASSWORD, hide=True)
        machine.wait(timeout=BOOTING)
    finally:
        machine.kill()
        machine.wait()


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    """Make the disk, start it, and give the student's connection."""
    assert shutil.which(QEMU), f"{QEMU} is missing: install qemu-system-x86."
    disk = tmp_path_factory.mktemp("vm") / "crm.qcow2"
    try:
        begin = time.monotonic()
        as_root(ROOT / "bin/make-vm", disk, limit=MAKING)
        made = time.monotonic()
        print(f"\nbin/make-vm: {made - begin:.0f} s, {disk.stat().st_size / 2**20:.0f} MiB")
        with running(disk) as connection:
            print(f"SSH answers: {time.monotonic() - made:.0f} s")
            yield connection
    finally:
        for file in (disk, disk.with_suffix(".log")):
            file.unlink(missing_ok=True)


def own_seconds(student):
    """Return the time by the machine's own clock."""
    return int(student.run("date +%s", hide=True).stdout)


def typed(student, command, limit):
    """Do what a person types in the clone, in a terminal; return what is shown."""
    begin, clock = time.monotonic(), own_seconds(student)
    done = student.run(
        f"cd crm && {command}", pty=True, watchers=[SUDO], hide=True, warn=True, timeout=limit
    )
    text = CONTROL.sub("", done.stdout.replace("\r", ""))
    seconds = time.monotonic() - begin
    own = own_seconds(student) - clock
    print(f"{command}: {seconds:.0f} s, {own} s by its own clock, exit code {done.exited}")
    print(*text.splitlines()[-4:], sep="\n")
    assert done.exited == 0, text
    return text


def test_readme_holds_on_a_computer_as_people_have_it(student):
    # The test has seen its subject.
    asked = (
        "cat /etc/resolv.conf /sys/module/apparmor/parameters/enabled; stat -fc %T /sys/fs/cgroup"
    )
    seen = student.run(f"echo $PATH; {asked}", hide=True).stdout
    assert "sbin" not in seen and "nameserver 127.0.0.53" in seen
    assert "\nY\n" in seen and "cgroup2fs" in seen
    # Nothing tells where the disk was made.
    left = student.run("cd crm && git remote && git status --porcelain", hide=True).stdout
    assert left == ""
    assert student.run(f"grep -r {ROOT} crm /etc 2>/dev/null", hide=True, warn=True).stdout == ""
    for path, text in settings().items():
        student.put(io.StringIO(text), "/tmp/given")
        student.sudo(f"install -m 644 /tmp/given {path}", password=PASSWORD, hide=True)
    student.sudo("update-ca-certificates", password=PASSWORD, hide=True)
    student.close()  # the next log-in reads /etc/environment

    typed(student, "python3 config.py", FIRST)
    assert "\n0 changes: " in "\n" + typed(student, ".venv/bin/fab deploy", AGAIN)
    assert "checks are true" in typed(student, ".venv/bin/invoke verify", AGAIN)
