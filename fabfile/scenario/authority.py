"""The certificates of the scenario's machines, and the small authority that has issued them.

Kept in `authority.json` in the scenario's state directory, for the person alone, as the passwords
are. Standard library only: who issues them is fabfile/operations/certificates.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fabfile.scenario.credentials import SecretError

FILE = "authority.json"
# That of the authority itself is issued again for the same key, so that what it has issued holds.
AUTHORITY_DAYS, MACHINE_DAYS = 7300, 1095
# The entry of the authority: no machine can be called so.
AUTHORITY = "*"


@dataclass(frozen=True)
class Certificate:
    """A private key and a certificate for it, as PEM; `until` is when that ends, as ISO 8601."""

    key: str
    certificate: str
    until: str

    def lasts(self, days: int, now: datetime) -> bool:
        """Return whether a third of its time, `days` in all, is left."""
        return datetime.fromisoformat(self.until) - now > timedelta(days=days) / 3


def entry(name: str, addresses: Iterable[object]) -> str:
    """Return the entry of a machine's certificate: its name and its addresses.

    Who changes an address and changes it back has the certificate of before, which is deployed.
    """
    return " ".join([name, *map(str, addresses)])


def certificate(state: Path, wanted: str) -> Certificate:
    """Return the certificate of an entry; raises SecretError when none has been issued."""
    try:
        return read(state)[wanted]
    except KeyError:
        name, *_ = wanted.split()
        raise SecretError(f"{name} has no certificate in {state / FILE}: deploy makes it") from None


def due(
    known: dict[str, Certificate], wanted: Iterable[str], now: datetime | None = None
) -> list[str]:
    """Return the entries that must be issued, the authority first: those missing or ending soon."""
    now = now or datetime.now(UTC)
    return [
        each
        for each in (AUTHORITY, *wanted)
        if each not in known
        or not known[each].lasts(AUTHORITY_DAYS if each == AUTHORITY else MACHINE_DAYS, now)
    ]


def read(state: Path) -> dict[str, Certificate]:
    """Return entry -> certificate, as far as any were issued."""
    file = state / FILE
    found = json.loads(file.read_text()) if file.exists() else {}
    return {name: Certificate(**each) for name, each in found.items()}


def write(state: Path, known: dict[str, Certificate]) -> None:
    """Keep the certificates, readable for the person alone."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = state / f"{FILE}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({name: asdict(each) for name, each in known.items()}, file, indent=2)
    new.replace(state / FILE)
