"""What is said to a person of numbers of things."""

import pytest

from fabfile.engine.words import counted
from fabfile.operations import deployment


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 machines"), (1, "1 machine"), (2, "2 machines")]
)
def test_one_thing_is_said_as_one(number, words):
    assert counted(number, "machine") == words


def test_one_machine_is_as_it_should_be():
    assert deployment._nothing_to_do(1) == "0 changes: 1 machine is as it should be"
    assert deployment._nothing_to_do(9) == "0 changes: 9 machines are as they should be"
