"""How numbers of things are said to a person."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, as "1 machine" or "3 machines"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
