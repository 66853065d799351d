"""Machines as people have them: the application is deployed to them as to any others."""

import pytest

from fabfile.lab import rough
from tests.lab.commands import run

pytestmark = pytest.mark.makes_machines_rough


@pytest.fixture(scope="module")
def machines(lab):
    """Make every machine again, as people have them, with nothing of any tier on it."""
    lab.invoke("lab.up", "--rough", limit=400)
    return lab


def said(lab, name, command):
    """Return what a person gets who runs a command there."""
    return run("ssh", "-F", lab.ssh_config, name, command, code=None).out


def test_they_are_rough(machines):
    noise = said(machines, "lb", "umask")
    assert "Welcome back!" in noise and "0077" in noise, noise
    languages = {
        said(machines, name, "sudo -n printenv LANG").split()[-1] for name in machines.names
    }
    assert languages == {*rough.LOCALES}
    shells = machines.do("lb", "getent passwd deploy") + machines.do("s1", "getent passwd deploy")
    assert "/bin/bash" in shells and "/bin/dash" in shells
    assert "noexec" in machines.do("bbdd", "findmnt -no OPTIONS /tmp")
    assert machines.do("s2", "getent hosts s2 || echo unknown") == "unknown\n"
    assert machines.host("nas1").package("needrestart").is_installed
    assert not machines.host("nas1").package("glusterfs-server").is_installed


def test_they_are_deployed_to_and_verified_and_have_nothing_more_to_do(machines):
    machines.fab("deploy", limit=540)
    machines.assert_nothing_to_do()
    done = machines.invoke("verify", limit=120)
    assert "false" not in {line.split(" ")[0] for line in done.out.splitlines()}, done.text
    # The cluster was made in a language that is there on any machine.
    assert machines.sql("SELECT DISTINCT datcollate FROM pg_database") == "C.UTF-8"
