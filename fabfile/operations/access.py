"""What this computer keeps for a scenario: passwords, certificates, what lets in elsewhere.

What lets in at the second place is read once, and kept beside the passwords.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import paramiko

from fabfile.engine.known_hosts import keys_of
from fabfile.operations import certificates
from fabfile.scenario import ROOT, Scenario
from fabfile.scenario.credentials import SECOND_PLACE, SecretError, make_secrets
from fabfile.scenario.second_place import (
    ACCESS_KEY,
    ENTRY,
    S3,
    SECRET_KEY,
    Access,
    SecondPlace,
    keep,
)

ELSEWHERE = "or 'invoke backup.key --from FILE' brings it from the key to the backups"


class NoAccess(Exception):
    """What of it is missing or of no use, and what to do, as one sentence."""


def furnish(wanted: Scenario) -> str:
    """Have all of it: what each operation begins with; returns and raises what `gather` does."""
    make_secrets(wanted.state)
    certificates.make(wanted)
    return gather(wanted)


def gather(wanted: Scenario) -> str:
    """Read and keep what lets in at the second place, where that is named.

    What is kept already stays: on another computer, a file of that name may be another. Returns
    what the person should know of it, "" for nothing. Raises NoAccess.
    """
    place = wanted.second_place
    if place is None:
        return ""
    try:
        known = wanted.access
    except SecretError:
        known = Access()
    found = _of_environment(known) if place.kind == S3 else _of_files(place, known)
    if found != known:
        keep(wanted.state, found)
    file = _path(place.key)
    if place.kind == S3 or not file.is_file() or file.read_text() == found.key:
        return ""
    kept = wanted.state / SECOND_PLACE
    return f"{file} is another key than the one in {kept}, which counts: to use it, remove that"


def _of_environment(known: Access) -> Access:
    given = {name: os.environ.get(name, "") for name in (ACCESS_KEY, SECRET_KEY)}
    if all(given.values()):
        return replace(known, access_key=given[ACCESS_KEY], secret_key=given[SECRET_KEY])
    if any(given.values()) or not known.secret_key:
        raise NoAccess(
            f"{ENTRY} is in S3, and there are no keys for it: set {ACCESS_KEY} and {SECRET_KEY} "
            f"for this command, {ELSEWHERE}"
        )
    return known


def _of_files(place: SecondPlace, known: Access) -> Access:
    return replace(
        known,
        key=known.key or _key(_path(place.key)),
        known_hosts=_known_hosts(place) or known.known_hosts or _unknown(place),
    )


def _path(text: str) -> Path:
    return ROOT / Path(text).expanduser()


def _key(file: Path) -> str:
    """Return a private key that machines can use by themselves; raises NoAccess."""
    try:
        text = file.read_text()
        paramiko.PKey.from_path(file)
    except OSError as error:
        raise NoAccess(
            f"{ENTRY}['key'] is {file}, which cannot be read ({error.strerror}): 'ssh-keygen -t "
            f'ed25519 -N "" -f {file}\' makes one, {ELSEWHERE}'
        ) from None
    except (paramiko.PasswordRequiredException, TypeError):
        raise NoAccess(
            f"{ENTRY}['key'] is {file}, which has a passphrase: name one without, that lets in "
            "nowhere else"
        ) from None
    except Exception:
        raise NoAccess(f"{ENTRY}['key'] is {file}, which is no private key of SSH") from None
    return text


def _known_hosts(place: SecondPlace) -> str:
    """Return the keys of the place's host as far as this computer knows them, a line each."""
    file = _path(place.known_hosts)
    found = keys_of(place.known_as, [file] if file.is_file() else []).known
    return "".join(f"{place.known_as} {key.get_name()} {key.get_base64()}\n" for key in found)


def _unknown(place: SecondPlace) -> str:
    port = "" if place.port == 22 else f"-p {place.port} "
    host = place.host.strip("[]")
    raise NoAccess(
        f"{ENTRY}['known_hosts'] is {_path(place.known_hosts)}, which has no key of "
        f"{place.known_as}: 'ssh-keyscan {port}{host}' prints its keys, to be compared with what "
        "is known of it and added there"
    )
