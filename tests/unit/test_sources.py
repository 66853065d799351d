"""Sources of an application: a directory, a repository, a bundle, a tarball, and what is none."""

import io
import os
import subprocess
import tarfile
from dataclasses import replace

import pytest
from invoke.exceptions import Exit

from fabfile import pipeline
from fabfile.operations import deployment
from fabfile.operations.deployment import at
from fabfile.scenario import Scenario
from fabfile.tiers.app import release
from fabfile.tiers.app.sources import Entry, SourceError, has_commits, read

WHO = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com"}
WHO |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com"}
FIRST = {"app.js": Entry(b"one\n"), "bin/run": Entry(b"#!/bin/sh\n", True), "l": Entry(target="x")}
SECOND = {**FIRST, "app.js": Entry(b"two\n")}


def git(*words, directory):
    done = subprocess.run(
        ["git", *map(str, words)],
        cwd=directory,
        env={**os.environ, **WHO},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path):
    """Make a repository with two commits, and a working tree with more than that."""
    top = tmp_path / "clone"
    (top / "bin").mkdir(parents=True)
    git("init", "-q", "-b", "main", directory=top)
    (top / "bin/run").write_text("#!/bin/sh\n")
    (top / "bin/run").chmod(0o755)
    (top / "l").symlink_to("x")
    for text in ("one\n", "two\n"):
        (top / "app.js").write_text(text)
        git("add", "-A", directory=top)
        git("commit", "-qm", text, directory=top)
    (top / "app.js").write_text("not committed\n")
    (top / "rubbish").write_text("not committed\n")
    return top


@pytest.fixture
def commits(clone):
    return git("log", "--format=%H", "--reverse", directory=clone).split()


@pytest.fixture
def of(tmp_path):
    """Give a function that reads a source, with a cache of its own."""
    return lambda source, ref="": read(str(source), ref, tmp_path, tmp_path / "cache")


def test_a_directory_is_taken_as_it_is(clone, of):
    files = of(clone / "bin")
    assert files == {"run": Entry(b"#!/bin/sh\n", True)}


def test_a_commit_of_a_clone_without_its_working_tree(clone, commits, of):
    assert of(clone, commits[0]) == FIRST
    assert of("clone", commits[1][:8]) == of(clone, "main") == SECOND


def test_a_commit_of_a_url_is_asked_for_once(clone, commits, of):
    url = f"file://{clone}"
    assert of(url, commits[0]) == FIRST
    assert of(url, "main") == SECOND
    clone.rename(clone.with_name("away"))
    assert of(url, commits[1]) == SECOND
    with pytest.raises(SourceError, match="give a local clone, a git bundle or a tarball"):
        of(url, "main")


def test_a_branch_of_a_url_is_what_it_is_now(clone, of):
    url = f"file://{clone}"
    assert of(url, "main") == SECOND
    git("reset", "-q", "--hard", "HEAD~1", directory=clone)
    assert of(url, "main") == FIRST


def test_a_bundle(clone, commits, of):
    bundle = clone.with_name("it.bundle")
    git("bundle", "create", bundle, "HEAD", "main", directory=clone)
    assert of(bundle) == of(bundle, "main") == SECOND
    assert of(bundle, commits[0]) == FIRST
    git("bundle", "create", bundle, "main", directory=clone)
    assert of(bundle, commits[1]) == SECOND


@pytest.mark.parametrize("form", ["tar", "tar.gz"])
@pytest.mark.parametrize("prefix", ["", "CRM-1/"])
def test_a_tarball_with_or_without_a_directory_around_it(clone, commits, of, form, prefix):
    tarball = clone.with_name(f"it.{form}")
    words = ("archive", f"--format={form}", f"--prefix={prefix}", "-o", tarball, commits[0])
    git(*words, directory=clone)
    assert of(tarball) == of(tarball, commits[0]) == FIRST
    with pytest.raises(SourceError, match=f"is of commit {commits[0]}, not {commits[1]}"):
        of(tarball, commits[1])


def test_a_tarball_of_which_nothing_is_known(tmp_path, clone, commits, of):
    tarball = tmp_path / "it.tar"
    subprocess.run(["tar", "-cf", tarball, "-C", clone, "bin", "l"], check=True)
    assert set(of(tarball, commits[0])) == {"bin/run", "l"}


def test_a_file_outside_of_its_archive(tmp_path, of):
    with tarfile.open(tmp_path / "it.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("../x"), io.BytesIO())
    with pytest.raises(SourceError, match="outside of itself"):
        of("it.tar")


def test_what_is_no_source(tmp_path, clone, of):
    (tmp_path / "it.tar").write_text("no tar")
    (tmp_path / "plain").mkdir()
    for source, ref, sentence in (
        ("it.tar", "", "is no directory, git bundle or tarball that can be read"),
        ("plain", "main", "is no git repository: remove 'ref' to take it as it is"),
        (clone, "nowhere", "has no commit, tag or branch nowhere"),
        (f"file://{clone}", "nowhere", "has no commit, tag or branch nowhere: correct 'ref'"),
        ("file:///nowhere.git", "main", "give a local clone, a git bundle or a tarball"),
    ):
        with pytest.raises(SourceError, match=sentence):
            of(source, ref)


@pytest.fixture
def scenario(scenario, clone, commits) -> Scenario:
    application = replace(scenario.application, source=str(clone), ref=commits[0])
    return replace(scenario, application=application)


def contents(scenario):
    with tarfile.open(fileobj=io.BytesIO(release.archive(scenario))) as archive:
        return {
            member.name: member.linkname or archive.extractfile(member).read() for member in archive
        }


def test_a_release_holds_our_files_and_the_way_to_the_volume(scenario, tmp_path):
    (tmp_path / "ours.js").write_text("ours\n")
    application = replace(
        scenario.application,
        files={"deployer/ours.js": tmp_path / "ours.js"},
        uploads="public/uploads",
        temporary=("bin",),
    )
    found = contents(replace(scenario, application=application))
    assert found.pop("app.js") == b"one\n"
    assert found.pop("l") == "x"
    assert found == {
        "deployer/ours.js": b"ours\n",
        "public/uploads": "/srv/crm/uploads",
        "bin": "/tmp",
    }


def test_each_thing_that_makes_a_release_names_it(scenario, commits, tmp_path):
    (tmp_path / "ours.js").write_text("ours\n")
    given = scenario.application
    changed = (
        {},
        {"ref": commits[1]},
        {"build": "true"},
        {"files": {"x": tmp_path / "ours.js"}},
        {"uploads": "up"},
        {"exclude": ("bin",)},
    )
    names = [
        release.identifier(replace(scenario, application=replace(given, **each)))
        for each in changed
    ]
    assert len(set(names)) == len(names)


def test_another_commit_is_for_sources_that_have_commits(scenario, commits, clone):
    assert contents(at(scenario, commits[1]))["app.js"] == b"two\n"
    assert at(scenario, "") is scenario
    assert has_commits(str(clone), clone)
    assert not has_commits("bin", clone)
    plain = replace(scenario, application=replace(scenario.application, source="crm", ref=""))
    for given, ref, sentence in (
        (plain, "main", "the source crm has no commits"),
        (scenario, "--upload-pack=x", "it must be a commit, a tag or a branch"),
    ):
        with pytest.raises(Exit, match=sentence):
            at(given, ref)
    with pytest.raises(SourceError, match=r"has no commit, tag or branch nowhere"):
        release.identifier(at(scenario, "nowhere"))


def test_a_source_that_cannot_be_read_refuses_a_plan(scenario):
    wanted = at(scenario, "nowhere")
    stages = pipeline.stages(wanted, "app")
    with pytest.raises(Exit, match=r"has no commit, tag or branch nowhere.*Nothing was changed"):
        deployment.planned(stages, {}, wanted)
