"""Two people who edit one record: the second is told what the first has changed.

The form carries digests of what was seen when it was opened, so a record needs no number of its
version, and a change that any release has made is noticed.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Self

Record = Mapping[str, Any]
# Gets a record as it is in the database, locked; raises an exception when it must stay so.
Check = Callable[[Record], None]

_DIGEST_BYTES = 12


class Changed(Exception):
    """A record is no longer what was seen of it; ``fields`` are those that are others now."""

    def __init__(self, record: Record, fields: list[str]) -> None:
        """Keep the record as it is now."""
        super().__init__(", ".join(fields))
        self.record = record
        self.fields = fields


class Seen:
    """What somebody has seen of a record: a digest of each field."""

    def __init__(self, digests: dict[str, str]) -> None:
        """Keep the digests by field."""
        self._digests = digests

    @classmethod
    def of(cls, record: Record, fields: tuple[str, ...]) -> Self:
        """Return what somebody sees who is shown a record."""
        return cls({field: _digest(record[field]) for field in fields})

    @classmethod
    def read(cls, text: str, fields: tuple[str, ...]) -> Self:
        """Return what a form carries; of other text than ours, each field was another."""
        digests = text.split(".")
        if len(digests) != len(fields):
            digests = [""] * len(fields)
        return cls(dict(zip(fields, digests, strict=True)))

    def __str__(self) -> str:
        return ".".join(self._digests.values())

    def has(self, field: str, value: object) -> bool:
        """Tell whether that was the value of a field."""
        return self._digests[field] == _digest(value)

    def check(self, record: Record) -> None:
        """Raise Changed unless the record is as it was seen."""
        others = [field for field in self._digests if not self.has(field, record[field])]
        if others:
            raise Changed(record, others)

    def merged(self, own: dict[str, Any], changed: Changed) -> dict[str, Any]:
        """Return what somebody has typed, and in the fields left alone what is there now."""
        news = {field: changed.record[field] for field in changed.fields}
        return {
            field: news[field] if field in news and self.has(field, value) else value
            for field, value in own.items()
        }


def anything(record: Record) -> None:
    """Let a record be changed, whatever it is: for who has not said what was seen."""


def asked(form: Mapping[str, str], fields: tuple[str, ...]) -> Seen | None:
    """Return what a form says was seen; None of a form that an earlier release has shown."""
    return Seen.read(form["seen"], fields) if "seen" in form else None


def _digest(value: object) -> str:
    text = "" if value is None else str(value)
    digest = hashlib.sha256(text.encode()).digest()[:_DIGEST_BYTES]
    return base64.urlsafe_b64encode(digest).decode()
