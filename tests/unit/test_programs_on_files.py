"""The programs that look at files: copies on bricks, and databases among an application's files."""

import os
import sqlite3

import pytest

from fabfile.tiers.database.programs import sqlite
from fabfile.tiers.storage import copies as comparison
from fabfile.tiers.storage.programs import copies


@pytest.fixture
def bricks(tmp_path):
    """Return two bricks with the same files; what GlusterFS keeps for itself differs."""
    for name in ("one", "other"):
        brick = tmp_path / name
        for directory in ("crm/aa", "crm/bb", ".glusterfs/00"):
            (brick / directory).mkdir(parents=True)
        for number in range(20):
            (brick / f"crm/aa/{number}").write_text(f"photo {number}")
        (brick / "crm/bb/ñ").write_bytes(b"x" * (copies.START + 1))
        (brick / f".glusterfs/00/{name}").touch()
        (brick / f"crm/.probe-{name}").touch()
        (brick / "crm/link").symlink_to(f"/{name}")
    return tmp_path / "one", tmp_path / "other"


def look(brick, **more):
    given = {"brick": str(brick), "seed": "abc", "files": 1000, "seconds": 5.0, "sample": 7}
    return copies.main({**given, "directories": None, "paths": None, **more})


def test_bricks_with_the_same_files_look_the_same(bricks):
    one, other = map(look, bricks)
    assert one == other
    assert (one["files"], one["whole"], len(one["sample"])) == (21, True, 7)
    assert set(one["names"]) == {".", "crm", "crm/aa", "crm/bb"}


def test_another_seed_takes_another_sample(bricks):
    brick, _ = bricks
    assert set(look(brick)["sample"]) != set(look(brick, seed="def")["sample"])


def test_another_size_or_name_shows_in_its_directory_alone(bricks):
    _, other = bricks
    (other / "crm/aa/3").write_text("longer than it was")
    (other / "crm/bb/more").touch()
    names = [look(brick)["names"] for brick in bricks]
    differing = {path for path in names[0] if names[0][path] != names[1][path]}
    assert differing == {"crm/aa", "crm/bb"}
    sizes = [look(brick, directories=sorted(differing)) for brick in bricks]
    assert dict(sizes[1].items() - sizes[0].items()) == {"crm/aa/3": 18, "crm/bb/more": 0}
    assert comparison._different(sizes) == {"crm/aa/3", "crm/bb/more"}


def test_another_content_of_the_same_size_shows_in_the_file(bricks):
    one, other = bricks
    (other / "crm/aa/3").write_text("PHOTO 3")
    assert look(one)["names"] == look(other)["names"]
    paths = ["crm/aa/2", "crm/aa/3", "crm/aa/gone"]
    contents = [look(brick, paths=paths) for brick in bricks]
    assert comparison._different(contents) == {"crm/aa/3"}
    assert contents[0]["crm/aa/3"][0] == 7 and contents[0]["crm/aa/gone"] is None


def test_the_size_tells_of_a_file_that_differs_behind_its_beginning(bricks):
    _, other = bricks
    with (other / "crm/bb/ñ").open("ab") as file:
        file.write(b"more")
    first, second = (look(brick, paths=["crm/bb/ñ"])["crm/bb/ñ"] for brick in bricks)
    assert first[1] == second[1] and first[0] + 4 == second[0]


def test_directories_that_are_gone_have_no_files(bricks):
    assert look(bricks[0], directories=["crm/gone"]) == {}


@pytest.mark.parametrize("limit", [{"files": 0}, {"seconds": -1.0}])
def test_a_look_that_was_ended_early_says_so(bricks, limit):
    assert look(bricks[0], **limit)["whole"] is False


def test_a_file_with_a_name_in_no_encoding_is_seen(bricks):
    one, other = bricks
    (one / os.fsdecode(b"crm/aa/\xff")).write_text("x")
    (path,) = look(one, directories=["crm/aa"]).keys() - look(other, directories=["crm/aa"]).keys()
    assert look(one, paths=[path])[path][0] == 1


def database(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE customers (name)")
    connection.close()
    return str(path)


def search(**more):
    given = {"whole": [], "private": "", "sampled": [], "sample": 2, "seconds": 5.0}
    found = sqlite.main({**given, **more})
    return {"found": sorted(found["found"] + found.pop("came")), "names": found["names"]}


def test_a_database_in_the_release_that_runs_is_found_whatever_its_name(tmp_path):
    home = tmp_path / "crm"
    wanted = [
        database(home / "releases/new/deep/customers"),
        database(home / "data.txt"),
    ]
    database(home / "releases/old/customers")
    database(home / "uploads/customers")
    (home / "current").symlink_to("releases/new")
    (home / "releases/new/empty.sqlite").touch()
    assert search(whole=[str(home)]) == {"found": sorted(wanted), "names": 0}


@pytest.mark.parametrize(("mode", "key"), [(0o644, "came"), (0o664, "found"), (0o666, "found")])
def test_a_database_that_no_application_can_write_came_with_the_release(
    tmp_path, monkeypatch, mode, key
):
    path = database(tmp_path / "crm/releases/new/places.db")
    os.chmod(path, mode)
    (tmp_path / "crm/current").symlink_to("releases/new")
    # root's, whoever runs this test.
    monkeypatch.setattr(sqlite, "ROOT", os.getuid())
    given = {"whole": [str(tmp_path / "crm")], "private": "", "sampled": [], "sample": 2}
    found = sqlite.main({**given, "seconds": 5.0})
    assert found == {"found": [], "came": [], "names": 0, key: [path]}


def test_a_home_without_a_release_has_none(tmp_path):
    assert search(whole=[str(tmp_path / "none")]) == {"found": [], "names": 0}


def brick_of(tmp_path, files=50):
    brick = tmp_path / "brick"
    (brick / ".glusterfs").mkdir(parents=True)
    for number in range(files):
        photo = brick / f"crm/{number:02}.png"
        photo.parent.mkdir(exist_ok=True)
        photo.write_bytes(bytes(5_000 + number))
        os.utime(photo, (number, number))
    return brick


def test_of_many_uploads_the_named_the_largest_and_the_latest_are_opened(tmp_path):
    brick = brick_of(tmp_path)
    large = brick / "crm/large"
    wanted = [database(brick / "crm/photos.db"), database(large), database(brick / "crm/latest")]
    with large.open("ab") as file:
        file.truncate(100_000)
    for name, when in (("photos.db", 1), ("large", 2), ("latest", 1000)):
        os.utime(brick / f"crm/{name}", (when, when))
    database(brick / ".glusterfs/copy.db")
    assert search(sampled=[str(brick)]) == {"found": sorted(wanted), "names": 53}


def test_of_few_uploads_all_are_opened(tmp_path):
    brick = brick_of(tmp_path)
    hidden = database(brick / "crm/hidden")
    os.utime(hidden, (25, 25))
    assert search(sampled=[str(brick)], sample=51)["found"] == [hidden]


def test_a_link_is_no_file(tmp_path):
    database(tmp_path / "elsewhere")
    brick = brick_of(tmp_path, 1)
    (brick / "crm/link").symlink_to(tmp_path / "elsewhere")
    assert search(sampled=[str(brick)]) == {"found": [], "names": 1}


def test_no_more_is_looked_at_when_the_time_is_over(tmp_path):
    assert search(sampled=[str(brick_of(tmp_path))], seconds=-1.0)["names"] == 0
