"""Which bricks there are, from what GlusterFS says of the volume, or refuses to say."""

import pytest

from fabfile.engine.remote import Output
from fabfile.tiers.storage import checks
from fabfile.tiers.storage.volumes import uploads
from fabfile.verify.check import Site

BUSY = (
    "<cliOutput><opRet>-1</opRet><opErrstr>Another transaction is in progress for nas. Please try "
    "again after some time.</opErrstr></cliOutput>"
)
NODE = "<node><hostname>{}</hostname><path>{}</path><status>{}</status><port>{}</port></node>"
STATUS = "<cliOutput><opRet>0</opRet><volStatus>{}</volStatus></cliOutput>".format(
    NODE.format("10.1.4.21", "/nas/brick", 1, 49152)
    + NODE.format("10.1.4.22", "/nas/brick", 0, "N/A")
    + NODE.format("Self-heal Daemon", "localhost", 1, "N/A")
)


class Server:
    """A storage server that gives these answers, and the last of them for ever."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    def run(self, script: str, *, seconds: float) -> Output:
        return Output(0, self.answers.pop(0) if self.answers[1:] else self.answers[0])


def test_those_that_run_are_told_although_another_asks_at_the_same_time(read):
    site = Site(read(), {"nas1": Server(BUSY, STATUS)})
    assert checks._bricks(site, uploads(site.scenario)) == [("10.1.4.21", 49152, "/nas/brick")]


def test_what_glusterfs_says_instead_is_told(read, monkeypatch):
    monkeypatch.setattr(checks, "STATUS_SECONDS", 0.1)
    with pytest.raises(RuntimeError, match=r"^nas1: Another transaction is"):
        checks._bricks(Site(read(), {"nas1": Server(BUSY)}), uploads(read()))
