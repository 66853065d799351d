"""Where copies of the backups go: SECOND_PLACE of config.py, and what lets a machine in there.

Standard library only. What lets in is read once, of a file or of the environment, and then kept in
`second-place.json` in the scenario's state directory, for the person alone: so it is in the key to
the backups, too.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fabfile.scenario.credentials import SECOND_PLACE, SecretError

ENTRY = "SECOND_PLACE"
SFTP, S3 = "sftp", "s3"
# The keys that each kind of place has, with the default of those that may be left out.
KEYS: Mapping[str, Mapping[str, str | None]] = {
    SFTP: {SFTP: None, "path": None, "key": None, "known_hosts": "~/.ssh/known_hosts"},
    S3: {S3: None, "bucket": None, "path": None, "region": None},
}
ACCESS_KEY, SECRET_KEY = "CRM_S3_ACCESS_KEY", "CRM_S3_SECRET_KEY"
TARGET = re.compile(r"(?P<user>[\w.-]+)@(?P<host>[\w.-]+|\[[\da-fA-F:]+\])(?::(?P<port>\d{1,5}))?")
URL = re.compile(r"https?://[\w.-]+(?::\d{1,5})?(?:/[\w./-]*)?")
# A directory, or the beginning of names: what needs no quotes anywhere.
PATH = re.compile(r"/?[\w.-]+(?:/[\w.-]+)*")
# Amazon, "Bucket naming rules".
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
REGION = re.compile(r"[a-z0-9-]+")


@dataclass(frozen=True)
class SecondPlace:
    """A place by SFTP (`host`, `user`, `port`) or in an S3-compatible store (`url` and so on).

    `key` and `known_hosts` are files of this computer. `path` is where in the place.
    """

    kind: str
    path: str
    host: str = ""
    user: str = ""
    port: int = 22
    key: str = ""
    known_hosts: str = ""
    url: str = ""
    bucket: str = ""
    region: str = ""

    @property
    def name(self) -> str:
        """What a person calls it."""
        if self.kind == SFTP:
            return f"sftp://{self.user}@{self.host}:{self.port}/{self.path}"
        return f"{self.url.rstrip('/')}/{self.bucket}/{self.path}"

    @property
    def known_as(self) -> str:
        """The name that known_hosts has for its host, see sshd(8)."""
        host = self.host.strip("[]")
        return host if self.port == 22 else f"[{host}]:{self.port}"

    @property
    def root(self) -> str:
        """The directory of the copies, as rclone takes it."""
        return self.path if self.kind == SFTP else f"{self.bucket}/{self.path}"


@dataclass(frozen=True)
class Access:
    """What lets in: a private key and the lines of known_hosts, or the two access keys of S3."""

    key: str = ""
    known_hosts: str = ""
    access_key: str = ""
    secret_key: str = ""


def read_second_place(entries: Mapping[str, Any], mistakes: list[str]) -> SecondPlace | None:
    """Return the second place, None where there is none; adds a sentence for each mistake."""
    given = entries.get(ENTRY)
    if given is None:
        return None
    if not isinstance(given, dict):
        mistakes.append(f"{ENTRY} must be None or a dictionary")
        return None
    kinds = [kind for kind in KEYS if kind in given]
    if len(kinds) != 1:
        mistakes.append(f"{ENTRY} must name one place, as 'sftp' or as 's3'")
        return None
    (kind,) = kinds
    before = len(mistakes)
    for key in given.keys() - KEYS[kind].keys():
        known = ", ".join(sorted(KEYS[kind]))
        mistakes.append(f"{ENTRY}[{key!r}] is not a known key; known are {known}")
    values: dict[str, str] = {}
    for key, default in KEYS[kind].items():
        value = given.get(key, default)
        if value is None:
            mistakes.append(f"{ENTRY} has no {key!r}; add it")
        elif not isinstance(value, str) or not value:
            mistakes.append(f"{ENTRY}[{key!r}] is {value!r}, it must be text")
        else:
            values[key] = value
    if len(mistakes) > before:
        return None
    place = _by_sftp(values, mistakes) if kind == SFTP else _in_s3(values, mistakes)
    if not PATH.fullmatch(place.path) or ".." in place.path.split("/"):
        mistakes.append(
            f"{ENTRY}['path'] is {place.path!r}, it must be a path of letters, digits, '.', '_' "
            "and '-'"
        )
    return place


def _by_sftp(values: Mapping[str, str], mistakes: list[str]) -> SecondPlace:
    target = TARGET.fullmatch(values[SFTP])
    if not target:
        mistakes.append(f"{ENTRY}['sftp'] is {values[SFTP]!r}, it must be like user@host:port")
        return SecondPlace(SFTP, values["path"])
    port = int(target["port"] or 22)
    if not 1 <= port <= 65535:
        mistakes.append(f"{ENTRY}['sftp'] is port {port}, it must be from 1 to 65535")
    return SecondPlace(
        SFTP,
        values["path"],
        host=target["host"],
        user=target["user"],
        port=port,
        key=values["key"],
        known_hosts=values["known_hosts"],
    )


def _in_s3(values: Mapping[str, str], mistakes: list[str]) -> SecondPlace:
    for key, pattern, like in (
        (S3, URL, "a URL like https://s3.example.org"),
        ("bucket", BUCKET, "3 to 63 lower-case letters, digits, '.' and '-'"),
        ("region", REGION, "like eu-central-1"),
    ):
        if not pattern.fullmatch(values[key]):
            mistakes.append(f"{ENTRY}[{key!r}] is {values[key]!r}, it must be {like}")
    path = values["path"].lstrip("/")
    return SecondPlace(S3, path, url=values[S3], bucket=values["bucket"], region=values["region"])


def access(state: Path) -> Access:
    """Return what lets in; raises SecretError when it has not been read."""
    try:
        return Access(**json.loads((state / SECOND_PLACE).read_text()))
    except (OSError, ValueError, TypeError):
        raise SecretError(f"there is no {SECOND_PLACE} in {state}: deploy makes it") from None


def keep(state: Path, known: Access) -> None:
    """Keep what lets in, readable for the person alone."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = state / f"{SECOND_PLACE}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(known), file, indent=2)
    new.replace(state / SECOND_PLACE)
