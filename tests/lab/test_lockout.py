"""Rules that would lock the person out of the firewall undo themselves, and nothing was lost."""

import pytest

from tests.lab import places

pytestmark = pytest.mark.usefixtures("repaired")


@pytest.fixture
def locking_out(lab, tmp_path):
    """Give a scenario that takes the inner interface of the firewall for the management one."""
    entries = lab.entries
    entries["MACHINES"]["fw"]["interfaces"] = {"management": "lan2"}
    return places.write(entries, tmp_path / "config.py")


def test_rules_that_let_no_new_connection_in_are_taken_back(lab, locking_out):
    script = lab.do("fw", "cat /etc/fw/fw.fw")
    done = lab.fab("firewall.deploy", config=locking_out, code=1, limit=150)
    assert "these rules let no new connection in for 20 s" in done.text
    assert "are the interfaces and the SSH port of the firewall right in config.py?" in done.text
    assert "stages not started: forward" in done.text
    # We are in again, and what comes at the next boot is what was there before.
    assert lab.do("fw", "cat /etc/fw/fw.fw") == script
    assert "loaded" in lab.do("fw", "/etc/fw/fw.fw status")
    assert lab.planned() == []
    lab.await_answer(5)
