"""What is written onto the disk of a machine before it starts: over its images, into `upper`.

The overlay shows what `upper` has in the place of what the images have.
"""

from __future__ import annotations

import os
from pathlib import Path

from fabfile.lab.host import LabError, run
from fabfile.scenario import Machine

SNAKEOIL = "etc/ssl/private/ssl-cert-snakeoil.key"
CERTIFICATE = "etc/ssl/certs/ssl-cert-snakeoil.pem"


def _stat(layers: list[Path], path: str) -> os.stat_result | None:
    """Return what the images say of a path, None when none of them has it."""
    for layer in layers:
        if (layer / path).exists():
            return (layer / path).lstat()
    return None


def _directories(upper: Path, layers: list[Path], path: str) -> None:
    """Make the parents of a path as the images have them: the overlay shows ours, not theirs."""
    for parent in reversed(Path(path).parents[:-1]):
        if not (upper / parent).exists():
            (upper / parent).mkdir()
            if like := _stat(layers, str(parent)):
                os.chown(upper / parent, like.st_uid, like.st_gid)
                os.chmod(upper / parent, like.st_mode & 0o7777)


def put(
    upper: Path,
    layers: list[Path],
    path: str,
    text: str,
    mode: int = 0o644,
    owner: tuple[int, int] = (0, 0),
) -> None:
    """Write a file in the place of what the images have at its path."""
    relative = path.lstrip("/")
    _directories(upper, layers, relative)
    file = upper / relative
    file.unlink(missing_ok=True)  # it may be a link by now: write no further than here
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as stream:
        stream.write(text)
    os.chmod(file, mode)
    os.chown(file, *owner)


def put_soft(upper: Path, layers: list[Path], path: str, text: str, user: str) -> None:
    """Write a file as `put`; one in the user's home for the user alone, with its directory."""
    if not path.startswith(("/home/", "/root/")):
        put(upper, layers, path, text)
        return
    owner = owner_of(layers, user)
    put(upper, layers, path, text, mode=0o600, owner=owner)
    directory = upper / Path(path.lstrip("/")).parent
    os.chmod(directory, 0o700)
    os.chown(directory, *owner)


def owner_of(layers: list[Path], user: str) -> tuple[int, int]:
    """Return the numbers of a user of the images, and of its group."""
    for line in read(layers, "/etc/passwd").splitlines():
        fields = line.split(":")
        if fields[0] == user:
            return int(fields[2]), int(fields[3])
    raise LabError(f"The image {layers[-1]} has no user {user}.")


def read(layers: list[Path], path: str) -> str:
    """Return the text of a file as the images have it, "" when none does."""
    for layer in layers:
        if (file := layer / path.lstrip("/")).exists():
            return file.read_text()
    return ""


def own_certificate(upper: Path, layers: list[Path], machine: Machine) -> None:
    """Replace the key that Debian's ssl-cert made for the image: every machine would share it."""
    like = _stat(layers, SNAKEOIL)
    if not like:
        return
    for path in (SNAKEOIL, CERTIFICATE):
        _directories(upper, layers, path)
    run(
        # An RSA key, as Debian's own, takes a quarter of a second.
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-nodes", "-days", "3650"),
        *("-subj", f"/CN={machine.name}", "-addext", f"subjectAltName=DNS:{machine.name}"),
        *("-keyout", upper / SNAKEOIL, "-out", upper / CERTIFICATE),
    )
    os.chown(upper / SNAKEOIL, like.st_uid, like.st_gid)
    os.chmod(upper / SNAKEOIL, like.st_mode & 0o7777)
