"""Waiting for a condition, with a limit: the one way to wait on this computer, and on a machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

# The shell function `await`.
AWAIT = Path(__file__).with_suffix(".sh").read_text()


def wait_until(
    condition: Callable[[float], object], seconds: float, interval: float = 0.05
) -> bool:
    """Call `condition` until it holds or the time is over; answer whether it came to hold.

    The condition gets the seconds that are left, so that it can block for that long itself;
    `interval` is the time between two looks. It looks once at least.
    """
    end = time.monotonic() + seconds
    while True:
        left = end - time.monotonic()
        if condition(max(left, 0.0)):
            return True
        if left <= 0:
            return False
        time.sleep(min(interval, left))
