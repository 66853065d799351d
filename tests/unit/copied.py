"""Repositories, and a directory in the place of the second place, for the tests of the copies."""

import shutil
from pathlib import Path

from fabfile.tiers.storage.copier.place import Failed, Place

WAL = "archive/main/17-1/0000000100000000/000000010000000000000001-ab.zst"
FULL = "20261126-210000F"
OF_DATABASE = {
    "archive/main/archive.info": "1",
    "archive/main/archive.info.copy": "1",
    WAL: "log",
    "backup/main/backup.info": FULL,
    "backup/main/backup.info.copy": FULL,
    f"backup/main/{FULL}/backup.manifest": "manifest",
    f"backup/main/{FULL}/pg_data/bundle/1": "data",
}
OF_UPLOADS = {"config": "id", "keys/k": "k", "data/aa/aa": "d", "index/i": "aa", "snapshots/s": "i"}


class Here(Place):
    """A directory of this computer in the place of the second one; fails after so many steps."""

    def __init__(self, root: Path, left: int = 1000) -> None:
        super().__init__("", str(root))
        self.root, self.left = str(root), left

    def rclone(self, *words, paths=None, given=""):
        self.left -= 1
        if self.left < 0:
            raise Failed("it is away")
        action, *rest = words
        one, *more = [Path(word) for word in rest if word[0] == "/"]
        return getattr(self, action)(one, more, rest, paths, given) or ""

    def lsf(self, one, _more, rest, _paths, _given):
        if "-R" not in rest:
            return "".join(f"{each.name}/\n" for each in one.glob("*"))
        found = [each for each in one.rglob("*") if each.is_file()]
        return "".join(f"{each.relative_to(one)};{each.stat().st_size}\n" for each in found)

    def rcat(self, one, _more, _rest, _paths, given):
        one.parent.mkdir(parents=True, exist_ok=True)
        one.write_text(given)

    def deletefile(self, one, *_):
        one.unlink()

    def copy(self, one, more, rest, paths, _given):
        excluded = rest[rest.index("--exclude") + 1].rstrip("*") if "--exclude" in rest else "\0"
        files = [each for each in one.rglob("*") if each.is_file()] if paths is None else paths
        for name in (str(Path(each).relative_to(one)) if paths is None else each for each in files):
            target = more[0] / name
            if name.startswith(excluded):
                continue
            if target.exists() and len(more) > 1 and target.read_text() != (one / name).read_text():
                self.move(more[0], [more[1]], [], [name], "")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(one / name, target)

    def move(self, one, more, _rest, paths, _given):
        if paths is None:
            more[0].parent.mkdir(parents=True, exist_ok=True)
            one.rename(more[0])
        for name in paths or ():
            (more[0] / name).parent.mkdir(parents=True, exist_ok=True)
            (one / name).rename(more[0] / name)

    def rmdirs(self, *_):
        pass

    def purge(self, one, *_):
        shutil.rmtree(one)


def write(top, files):
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def held(top):
    """Return what a directory has of repositories: what nobody else needs is left out."""
    ours = ("claim-", "second-place")
    return {
        str(each.relative_to(top)): each.read_text()
        for each in sorted(top.rglob("*"))
        if each.is_file() and not each.name.startswith(ours) and each.suffix != ".lock"
    }
