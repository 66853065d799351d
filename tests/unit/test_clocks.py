"""Clocks that differ from this computer's are told, with the remedy."""

import time
from types import SimpleNamespace

import pytest

from fabfile.engine.remote import Output, Remote
from fabfile.verify import clocks
from fabfile.verify.check import Site, Unreachable


def checked(**ahead):
    """Return what is said of machines whose clocks are so many seconds ahead; None is away."""

    def remote(name, seconds):
        if seconds is None:
            return Unreachable(RuntimeError("nobody looks at it"))
        one = Remote(name, SimpleNamespace())
        one.run = lambda *_, **__: Output(0, f"{int(time.time() + seconds)}\n")
        return one

    machines = [SimpleNamespace(name=name) for name in ahead]
    remotes = {name: remote(name, seconds) for name, seconds in ahead.items()}
    (check,) = clocks.checks(Site(SimpleNamespace(machines=machines), remotes))
    return check.ok, check.seen


def test_clocks_that_agree_are_true():
    assert checked(s1=0, s2=-59, s3=59, s4=None) == (True, "3 clocks, none more than 60 s off")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-86400, "24 h 0 min behind"), (86400 * 1.5, "36 h 0 min ahead"), (-180, "3 min behind")],
)
def test_one_that_is_off_is_told(seconds, said):
    ok, seen = checked(s1=0, s2=seconds)
    assert not ok and seen == f"s2 is {said}; 'timedatectl set-ntp true' sets a clock"


def test_where_all_are_off_it_may_be_this_computers():
    ok, seen = checked(s1=-7200, s2=-7200)
    assert not ok and "or this computer's clock is wrong" in seen
