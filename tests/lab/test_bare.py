"""Machines of plain Debian come to the same state as prepared ones, also by way of cut runs."""

import signal

import pytest

from tests.lab.commands import cut
from tests.lab.lab import BIN


@pytest.fixture(scope="module")
def bare(lab, prepared_state):
    """Make every machine anew from plain Debian."""
    lab.invoke("lab.up", "--bare", limit=300)
    return lab


def test_nothing_of_any_tier_is_on_a_bare_machine(bare):
    for name in bare.names:
        host = bare.host(name)
        for package in ("haproxy", "postgresql", "glusterfs-server", "gunicorn", "iptables"):
            assert not host.package(package).is_installed


def test_a_deployment_that_is_cut_while_it_installs_is_finished_by_the_next(bare):
    for line, by in ((4, signal.SIGKILL), (6, signal.SIGINT)):
        cut(BIN / "fab", "deploy", line=line, by=by, environment=bare.environment())
    bare.fab("deploy", limit=400)
    bare.assert_nothing_to_do()
    bare.await_answer()


def test_it_is_the_state_of_the_prepared_machines(lab, prepared_state):
    assert lab.state() == prepared_state
