"""The shell that waits on a machine: until it holds, until the limit, or until there is no hope."""

import subprocess
import time

import pytest

from fabfile.engine.waiting import AWAIT


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        ("await 5 'the sun' true", 0, ""),
        ("await 1 'the sun' 'echo dark; false'", 1, "s for the sun; last seen: dark"),
        ("await 30 'the sun' 'echo dark; false' true", 1, "s for the sun; last seen: dark"),
        ("await 5 'the sun' true true", 0, ""),
    ],
)
def test_waiting(call, code, said) -> None:
    begin = time.monotonic()
    done = subprocess.run(
        ["sh"], input=f"{AWAIT}\n{call}", text=True, capture_output=True, timeout=20
    )
    assert done.returncode == code and said in done.stdout and bool(said) == bool(done.stdout)
    assert time.monotonic() - begin < 10
