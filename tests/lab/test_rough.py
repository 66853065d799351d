"""Machines as people have them: the application is deployed to them as to any others.

They begin with plain Debian, and come to the same state as prepared ones, also by way of cut runs.
"""

import re
import signal

import pytest

from fabfile.lab import rough
from fabfile.tiers.app import release
from tests.lab.commands import run, wait_for
from tests.lab.stopped import await_unlocked, stopped

pytestmark = pytest.mark.makes_machines_rough

# What the login says comes with it.
PACKAGES = "dpkg-query -W -f '${Package}\\n'"
# Rough machines update themselves: a package may have another version than on prepared ones.
UPDATED = re.compile(r"^(\S+) \S+ (?=.i $)")
# What packages ask before they start a service, in the middle of their installation.
STAND_STILL = """
cat > /usr/sbin/policy-rc.d <<'SH'
#!/bin/sh
: > /run/stands
for n in $(seq 3000); do [ ! -e /run/stands ] || sleep 0.1; done
SH
chmod 755 /usr/sbin/policy-rc.d
"""


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
    assert machines.do("s2", "getent hosts s2 || echo unknown").endswith(".\nunknown\n")
    assert "needrestart" in machines.do("nas1", PACKAGES)


def test_nothing_of_any_tier_is_on_them(machines):
    for name in machines.names:
        found = {*machines.do(name, PACKAGES).split()}
        assert not found & {"haproxy", "postgresql", "glusterfs-server", "gunicorn", "iptables"}


def test_a_deployment_that_is_cut_while_it_installs_is_finished_by_the_next(machines):
    # Others install at the same time; what is installed there is half done when dpkg is killed.
    for name, by in (("lb", signal.SIGKILL), ("bbdd", signal.SIGINT)):
        machines.do(name, STAND_STILL)
        with stopped(machines, "fab", "deploy", at="nas1 install") as deployment:
            stands = "test -e /run/stands && pgrep -x dpkg"
            wait_for(f"dpkg to stand still on {name}", lambda: machines.do(name, stands), 240)  # noqa: B023
            deployment.cut(by)
        machines.do(name, "pkill -KILL -x dpkg; rm /usr/sbin/policy-rc.d /run/stands")
        await_unlocked(machines)
    machines.fab("deploy", limit=540)
    machines.assert_nothing_to_do()


def test_they_are_verified_and_as_the_prepared_ones(machines):
    done = machines.invoke("verify", limit=120)
    assert "false" not in {line.split(" ")[0] for line in done.out.splitlines()}, done.text
    # The cluster was made in a language that is there on any machine.
    assert machines.sql("SELECT DISTINCT datcollate FROM pg_database").endswith("C.UTF-8")
    # Other tests have changed the application since.
    release.made.cache_clear()
    current = f"releases/{release.identifier(machines.scenario)}"
    for name, state in machines.state().items():
        before, now = (
            {UPDATED.sub(r"\1 ", line) for line in text.splitlines()}
            for text in (machines.prepared[name], state)
        )
        if name in machines.apps:
            assert current in now
        ours = {line for line in before - now if not line.startswith("releases/")}
        assert not ours, f"{name} lacks {ours}"
        # They have more packages, but not more of what a deployment writes.
        assert not {line for line in now - before if line.startswith("/")}, name
