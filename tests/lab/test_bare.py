"""Machines of plain Debian come to the same state as prepared ones, also by way of cut runs."""

import signal

import pytest

from tests.lab.commands import wait_for
from tests.lab.stopped import await_unlocked, stopped

pytestmark = pytest.mark.begins_with_bare_machines

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
def bare(lab, prepared_state):
    """Make every machine again from plain Debian."""
    lab.invoke("lab.up", "--bare")
    return lab


def test_nothing_of_any_tier_is_on_a_bare_machine(bare):
    for name in bare.names:
        host = bare.host(name)
        for package in ("haproxy", "postgresql", "glusterfs-server", "gunicorn", "iptables"):
            assert not host.package(package).is_installed


def test_a_deployment_that_is_cut_while_it_installs_is_finished_by_the_next(bare):
    # Others install at the same time; what is installed there is half done when dpkg is killed.
    for name, by in (("lb", signal.SIGKILL), ("bbdd", signal.SIGINT)):
        bare.do(name, STAND_STILL)
        with stopped(bare, "fab", "deploy", at="nas1 install") as deployment:
            stands = "test -e /run/stands && pgrep -x dpkg"
            wait_for(f"dpkg to stand still on {name}", lambda: bare.do(name, stands), 240)  # noqa: B023
            deployment.cut(by)
        bare.do(name, "pkill -KILL -x dpkg; rm /usr/sbin/policy-rc.d /run/stands")
        await_unlocked(bare)
    bare.fab("deploy", limit=400)
    bare.assert_nothing_to_do()
    bare.await_answer()


def test_it_is_the_state_of_the_prepared_machines(lab, prepared_state):
    assert lab.state() == prepared_state
