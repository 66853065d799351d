"""The images that machines start from: plain Debian, and over it one layer a set of packages.

An image is a directory whose name holds a hash of all it is made from. It gets that name when it
is complete; what a killed build leaves begins with NEW and is removed by the next.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fabfile.lab.host import LabError, run

SUITE = "bookworm"
# What a rented Debian machine comes with, as far as it makes sense in a container.
BASE = (
    "ca-certificates,dbus,iproute2,iputils-ping,openssh-server,python3-minimal,sudo,systemd,"
    "systemd-sysv"
)
# The lab has no use for documentation, and need not survive a power cut while installing.
DPKG = ("path-exclude=/usr/share/man/*", "path-exclude=/usr/share/doc/*", "force-unsafe-io")
NEW = ".new-"
HERE = Path(__file__).parent
SOURCES = Path("/etc/apt/sources.list")
AUTHORITIES = Path("/usr/local/share/ca-certificates")
# Ends the build with us (setpriv), and all it has mounted and started with it (unshare).
CONFINED = ("setpriv", "--pdeathsig", "KILL", "--")
CONFINED += ("unshare", "--mount", "--pid", "--fork", "--kill-child")

Say = Callable[[str], None]


def layer_name(base: str, packages: Iterable[str]) -> str:
    """Return the name of the layer with these packages over a base, "" for no packages."""
    names = sorted(set(packages))
    if not names:
        return ""
    return f"{names[0]}-{_hash(base, *names, (HERE / 'layer.sh').read_text())}"


def base_name(users: Iterable[str]) -> str:
    """Return the name of the base image with these users, from what it would be made of now."""
    authorities = [path.read_text() for path in sorted(AUTHORITIES.glob("*.crt"))]
    customize = (HERE / "customize.sh").read_text()
    recipe = (SUITE, BASE, *DPKG, customize, *_sources(), *apt_options(), *authorities)
    return f"base-{_hash(*recipe, *sorted(users))}"


def ensure(
    directory: Path,
    users: Iterable[str],
    package_sets: Iterable[Iterable[str]],
    say: Say,
    shared: Path | None = None,
) -> Mapping[tuple[str, ...], list[Path]]:
    """Build the images that are missing; answer the layers, upper first, of each set of packages.

    `shared` is the image directory of another lab: an image that it has is linked, not built.
    Raises LabError with every build that failed.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    for rest in directory.glob(f"{NEW}*"):
        shutil.rmtree(rest)
    users = sorted(set(users))
    base = directory / base_name(users)
    _obtain(base, shared, lambda new: _build_base(new, users), "plain Debian", say)
    sets = {tuple(packages): layer_name(base.name, packages) for packages in package_sets}
    names = {name: packages for packages, name in sets.items() if name}

    def layer(name: str) -> None:
        packages = names[name]
        words = " ".join(packages)
        _obtain(directory / name, shared, lambda new: _build_layer(base, new, packages), words, say)

    with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool:
        builds = [pool.submit(layer, name) for name in names]
    failures = [str(error) for build in builds if (error := build.exception())]
    if failures:
        raise LabError("\n".join(failures))
    return {
        packages: [*([directory / name] if name else []), base] for packages, name in sets.items()
    }


def prune(directory: Path, keep: Iterable[str]) -> None:
    """Remove the images whose names are not among those to keep."""
    kept = set(keep)
    for image in directory.glob("*") if directory.exists() else ():
        if image.name not in kept:
            shutil.rmtree(image)


def apt_options() -> list[str]:
    """Return this computer's apt settings for proxies and certificates, as lines of apt.conf.

    A proxy on this computer's loopback address is left out: the machines could not reach it.
    """
    lines = run("apt-config", "dump", "Acquire").splitlines()
    wanted = re.compile(r'Acquire::\w+::(\S+::)?(Proxy|CaInfo|CAInfo|Verify-Peer)\S* "[^"]+";')
    local = re.compile(r"://([^/@]*@)?(localhost|127\.|\[::1\])")
    return [line for line in lines if wanted.fullmatch(line) and not local.search(line)]


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _sources() -> list[str]:
    """Return this computer's own Debian sources if it runs the same suite, else none."""
    release = Path("/etc/os-release")
    if not release.exists() or f"VERSION_CODENAME={SUITE}\n" not in release.read_text():
        return []
    texts = []
    deb822 = SOURCES.with_name("sources.list.d") / "debian.sources"
    if deb822.exists():
        texts.append(deb822.read_text())
    if SOURCES.exists():
        wanted = re.compile(rf"deb\s+(\[[^]]*]\s+)?(?!cdrom:)\S+\s+{SUITE}\S*\s.*")
        lines = [line for line in SOURCES.read_text().splitlines() if wanted.fullmatch(line)]
        if lines:
            texts.append("\n".join(lines) + "\n")
    return texts


def _obtain(
    image: Path, shared: Path | None, build: Callable[[Path], Path], words: str, say: Say
) -> None:
    if image.exists():
        return
    begin = time.monotonic()
    new = image.with_name(f"{NEW}{image.name}")
    new.mkdir()
    if shared and (shared / image.name).is_dir():
        # The files of an image never change, so that two labs can share them.
        run("cp", "--archive", "--link", shared / image.name, new / "image")
        tree, done = new / "image", "linked"
    else:
        say(f"image   building: {words}")
        tree, done = build(new), "built"
    tree.rename(image)
    shutil.rmtree(new, ignore_errors=not new.exists())
    say(f"image   {done} in {time.monotonic() - begin:.1f} s: {words}")


def _build_base(new: Path, users: list[str]) -> Path:
    tree = new / "tree"
    mirrors = []
    for number, text in enumerate(_sources()):
        kind = "sources" if "URIs:" in text else "list"
        mirrors.append(new / f"{number}.{kind}")
        mirrors[-1].write_text(text)
    options = [f"--dpkgopt={option}" for option in DPKG]
    options += [f"--aptopt={line}" for line in apt_options()]
    hook = " ".join([f'sh "{HERE / "customize.sh"}" "$1"', *users])
    run(
        *CONFINED,
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--include={BASE}",
        # A machine that knows what packages there are installs its first one seconds earlier.
        "--skip=cleanup/apt/lists",
        f"--customize-hook={hook}",
        *options,
        SUITE,
        tree,
        *mirrors,
    )
    return tree


def _build_layer(base: Path, new: Path, packages: tuple[str, ...]) -> Path:
    run(*CONFINED, "sh", HERE / "layer.sh", base, new, *packages)
    return new / "upper"
