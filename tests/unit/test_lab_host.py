"""Programs of this computer that the lab runs."""

import time

import pytest

from fabfile.lab.host import LabError, run


def test_a_program_that_does_not_end_is_ended_and_named():
    begin = time.monotonic()
    with pytest.raises(LabError, match=r"^`sleep 30` did not end within 0\.1 s\.$"):
        run("sleep", "30", limit=0.1)
    assert time.monotonic() - begin < 10


def test_a_program_that_fails_is_named_with_its_last_words():
    with pytest.raises(LabError, match=r"failed with exit code 3:\n    gone$"):
        run("sh", "-c", "echo gone >&2; exit 3", limit=10)
