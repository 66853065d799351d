"""Machines with habits of their own: another language, a held package, an apt that is at work."""

import pytest

from tests.lab import places
from tests.lab.commands import wait_for

# What the first boot of a rented machine has for minutes. fcntl locks, as apt and dpkg take them.
HOLDER = """
import fcntl, pathlib, time
files = [open(name, "w") for name in (
    "/var/lib/apt/lists/lock", "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock")]
for file in files:
    fcntl.lockf(file, fcntl.LOCK_EX)
pathlib.Path("/run/holds").touch()
time.sleep(12)
"""
SPANISH = """
apt-get -qq install -y --no-install-recommends locales >/dev/null 2>&1
echo 'es_ES.UTF-8 UTF-8' >/etc/locale.gen
locale-gen >/dev/null
echo LANG=es_ES.UTF-8 >/etc/default/locale
"""
ENGLISH = """
rm -f /etc/default/locale /etc/locale.conf /etc/locale.gen
apt-get -qq purge -y locales >/dev/null 2>&1
"""


@pytest.fixture
def held_locks(repaired):
    """Have a program on s2 hold all locks of apt and dpkg for some seconds."""
    repaired.do("s2", f"systemd-run -q --collect --unit=holder python3 -c '{HOLDER}'")
    wait_for("the locks to be held", lambda: repaired.do("s2", "ls /run/holds"))
    yield repaired
    repaired.do("s2", "systemctl stop holder 2>/dev/null || :; rm -f /run/holds")
    for name in repaired.apps:
        repaired.do(name, "apt-get -qq purge -y ed >/dev/null 2>&1")


def test_deploy_waits_for_an_apt_that_is_at_work(held_locks, tmp_path):
    entries = held_locks.entries
    entries["APPLICATION"]["packages"].append("ed")
    config = places.write(entries, tmp_path / "config.py")
    done = held_locks.fab("app.deploy", config=config, limit=120)
    assert done.begun("to let go of apt or dpkg") == 1 and "python3 -c (process" in done.out, (
        done.text
    )
    assert held_locks.host("s2").package("ed").is_installed


def test_a_machine_that_speaks_spanish_is_as_it_should_be(repaired):
    repaired.do("s3", SPANISH, limit=120)
    try:
        # By a new connection: the language comes with the log-in.
        said = repaired.invoke("lab.ssh", "s3", "--", "sudo -n ls /nowhere 2>&1 || :").out
        assert "No existe el fichero" in said
        repaired.assert_nothing_to_do()
    finally:
        repaired.do("s3", ENGLISH, limit=60)


def test_a_held_package_is_installed_all_the_same(repaired):
    repaired.do("lb", "apt-mark -q hold haproxy")
    try:
        repaired.assert_nothing_to_do()
    finally:
        repaired.do("lb", "apt-mark -q unhold haproxy")


def test_a_held_package_that_is_missing_is_said_before_anything_is_changed(repaired, tmp_path):
    entries = repaired.entries
    entries["APPLICATION"]["packages"].append("ed")
    config = places.write(entries, tmp_path / "config.py")
    repaired.do("s1", "apt-mark -q hold ed")
    try:
        done = repaired.fab("app.deploy", config=config, code=1)
        assert done.text.strip() == (
            "s1: ed must be installed, and is held back by 'apt-mark hold'; 'apt-mark unhold ed' "
            "there lets deploy do it\nNothing was changed."
        )
    finally:
        repaired.do("s1", "apt-mark -q unhold ed")
