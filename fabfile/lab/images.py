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
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fabfile.lab.host import LabError, run

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
CONFINED = (
    *("setpriv", "--pdeathsig", "KILL", "--"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
)

Say = Callable[[str], None]
Image = tuple[str, tuple[str, ...]]  # a release of Debian, by its codename, and packages


def layer_name(base: str, packages: Iterable[str]) -> str:
    """Return the name of the layer with these packages over a base, "" for no packages."""
    names = sorted(set(packages))
    if not names:
        return ""
    return f"{names[0]}-{_hash(base, *names, (HERE / 'layer.sh').read_text())}"


def base_name(suite: str, users: Iterable[str]) -> str:
    """Return the name of a release's base image with these users, as it would be made now."""
    authorities = [path.read_text() for path in sorted(AUTHORITIES.glob("*.crt"))]
    customize = (HERE / "customize.sh").read_text()
    recipe = (suite, BASE, *DPKG, customize, *_sources(suite), *apt_options(), *authorities)
    return f"base-{_hash(*recipe, *sorted(users))}"


def users(wanted: Iterable[str]) -> set[str]:
    """Return the users that a base image has beside root: those who log in, one at least.

    Where only root does, nobody has the key of the other, and labs share their images.
    """
    return {*wanted} - {"root"} or {"deploy"}


@dataclass(frozen=True)
class Stock:
    """The images of a lab, in a directory, with these users of its machines.

    `shared` is the image directory of another lab: an image that it has is linked, not built.
    """

    directory: Path
    users: Set[str]
    shared: Path | None
    say: Say

    def ensure(self, wanted: Mapping[str, Image]) -> dict[str, list[Path]]:
        """Build the images that are missing; return machine name -> its layers, upper first.

        Raises LabError with every build that failed.
        """
        self.directory.mkdir(mode=0o700, exist_ok=True)
        for left in self.directory.glob(f"{NEW}*"):
            shutil.rmtree(left)
        kinds = sorted(set(wanted.values()))
        bases = {suite: self.directory / self._base(suite) for suite, _ in kinds}
        users = sorted(self.users)
        for suite, base in bases.items():
            build = partial(_build_base, suite=suite, users=users)
            self._obtain(base, build, f"plain Debian ({suite})")

        def layers(image: Image) -> list[Path]:
            suite, packages = image
            name, words = layer_name(bases[suite].name, packages), " ".join(packages)
            if not name:
                return [bases[suite]]
            layer = self.directory / name
            self._obtain(layer, lambda new: _build_layer(bases[suite], new, packages), words)
            return [layer, bases[suite]]

        with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool:
            builds = {kind: pool.submit(layers, kind) for kind in kinds}
        failures = [str(error) for build in builds.values() if (error := build.exception())]
        if failures:
            raise LabError("\n".join(failures))
        return {name: builds[image].result() for name, image in wanted.items()}

    def names(self, wanted: Collection[Image]) -> set[str]:
        """Return the names of all images that these are made of."""
        bases = {suite: self._base(suite) for suite, _ in wanted}
        layers = {layer_name(bases[suite], packages) for suite, packages in wanted}
        return {*bases.values(), *layers} - {""}

    def _base(self, suite: str) -> str:
        return base_name(suite, self.users)

    def _obtain(self, image: Path, build: Callable[[Path], Path], words: str) -> None:
        if image.exists():
            return
        begin = time.monotonic()
        new = image.with_name(f"{NEW}{image.name}")
        new.mkdir()
        if self.shared and (self.shared / image.name).is_dir():
            # The files of an image never change, so that two labs can share them.
            run("cp", "--archive", "--link", self.shared / image.name, new / "image")
            tree, done = new / "image", "linked"
        else:
            self.say(f"image   building: {words}")
            tree, done = build(new), "built"
        tree.rename(image)
        shutil.rmtree(new, ignore_errors=not new.exists())
        self.say(f"image   {done} in {time.monotonic() - begin:.1f} s: {words}")


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


def _sources(suite: str) -> list[str]:
    """Return this computer's own Debian sources if it runs the same suite, else none."""
    release = Path("/etc/os-release")
    if not release.exists() or f"VERSION_CODENAME={suite}\n" not in release.read_text():
        return []
    texts = []
    deb822 = SOURCES.with_name("sources.list.d") / "debian.sources"
    if deb822.exists():
        texts.append(deb822.read_text())
    if SOURCES.exists():
        wanted = re.compile(rf"deb\s+(\[[^]]*]\s+)?(?!cdrom:)\S+\s+{suite}\S*\s.*")
        lines = [line for line in SOURCES.read_text().splitlines() if wanted.fullmatch(line)]
        if lines:
            texts.append("\n".join(lines) + "\n")
    return texts


def _build_base(new: Path, suite: str, users: list[str]) -> Path:
    tree = new / "tree"
    mirrors = []
    for number, text in enumerate(_sources(suite)):
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
        suite,
        tree,
        *mirrors,
    )
    return tree


def _build_layer(base: Path, new: Path, packages: tuple[str, ...]) -> Path:
    run(*CONFINED, "sh", HERE / "layer.sh", base, new, *packages)
    return new / "upper"
