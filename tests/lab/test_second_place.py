"""Copies of the backups in a second place: by SFTP and in S3, and when all machines are lost."""

import json
import shutil
import time

import pytest

from fabfile.tiers.app.checks.browser import png
from tests.lab import places, second_places
from tests.lab.commands import as_root, run, wait_for
from tests.lab.lab import BIN

pytestmark = [pytest.mark.takes_the_lab_away, pytest.mark.usefixtures("repaired")]

CONFIG = places.STATE / "second-place.py"
STATE = "/mnt/backup/second-place.json"
CHECK = "backups: the copy in the second place is young"
KEYS = {"CRM_S3_ACCESS_KEY": "testing", "CRM_S3_SECRET_KEY": "s3cr3t-of-the-tests"}
# What both have, but for what is the copies' own; pgBackRest's links are not copied.
OURS = r"! -name 'claim-*' ! -name 'second-place*' ! -name '*.lock' ! -path '*/locks/*'"
HELD = f"find postgresql uploads -type f {OURS} | sort | xargs sha256sum"


# Brings what the second place has to a volume that has nothing.
FETCH = f"""
mkdir /mnt/empty && mount -t tmpfs tmpfs /mnt/empty
cp /etc/crm-deployer/second-place.conf /mnt/empty
cd /usr/local/lib/crm-deployer
python3 -B -m copier /mnt/empty/second-place.conf backups/pfinal /mnt/empty fetch
for each in /mnt/backup /mnt/empty; do cd $each; {HELD}; echo --; done
cd /; umount /mnt/empty; rmdir /mnt/empty
"""


def configured(lab, entry):
    """Write the scenario with a second place, and answer its file."""
    return places.write({**lab.entries, "SECOND_PLACE": entry}, CONFIG)


def forget():
    """Keep on this computer nothing of what lets in."""
    (places.STATE / "second-place.json").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def server(lab, tmp_path_factory):
    """Give an SSH server that runs, and deploy the scenario that copies to it."""
    forget()
    found = second_places.sftp(lab, tmp_path_factory.mktemp("sftp"))
    found.start(lab)
    try:
        lab.fab("deploy", config=configured(lab, found.entry), limit=400)
        yield found
    finally:
        found.stop()
        as_root("rm", "-rf", found.directory)
    forget()
    done = lab.fab("deploy")
    assert "copy the backups to no second place any more" in done.out, done.text


def checked(lab):
    """Return what `verify` says of the copy."""
    done = lab.invoke("verify", "--json", code=None, config=CONFIG, limit=150)
    (check,) = [each for each in json.loads(done.out)["checks"] if each["name"] == CHECK]
    return check


def older(lab, seconds):
    """Have the last copy be older."""
    program = f"import json; s = json.load(open('{STATE}')); s['done'] -= {seconds}; "
    lab.do("nas1", f'python3 -c "{program}json.dump(s, open({STATE!r}, {"w"!r}))"')


def test_a_deploy_copies_the_backups_there_as_they_are(lab, server):
    assert "0 changes" in lab.fab("deploy", config=CONFIG).out
    assert "copy in the second place: 0 min ago" in lab.invoke("status", config=CONFIG).out
    lab.invoke("backup.now", config=CONFIG)
    done = lab.invoke("backup.list", config=CONFIG)
    name = f"the second place, sftp://{server.entry['sftp']}/crm/pfinal, has what was kept until"
    assert name in done.out, done.text
    here = lab.do("nas1", f"cd /mnt/backup; {HELD}").splitlines()
    there = as_root("sh", "-c", f"cd {server.held}/current && {HELD}").out.splitlines()
    # Pieces of the log have come since.
    assert {*there} <= {*here} and len(there) > 20
    assert [line for line in there if "backup.info" in line]
    check = checked(lab)
    assert check["ok"], check


def test_what_lets_in_is_for_root_alone(lab, server):
    files = "/etc/crm-deployer/second-place"
    for name in ("nas1", "nas2", "nas3"):
        text = lab.do(name, f"stat -c '%a %U' {files}.conf {files}.key")
        assert text == "600 root\n600 root\n"
    assert lab.do("bbdd", "ls /etc/crm-deployer") == lab.do(
        "bbdd", "ls /etc/crm-deployer | grep -v second"
    )


def test_each_storage_server_copies_when_its_turn_comes(lab, server):
    lab.do("nas1", f"rm {STATE}")
    lab.do("nas3", "systemctl start backup-second-place.service", limit=120)
    # Another one may have been at it.
    wait_for("a copy", lambda: lab.do("nas1", f"cat {STATE}"), 60)
    told = json.loads(lab.do("nas1", f"cat {STATE}"))
    assert time.time() - told["done"] < 120 and "why" not in told


def test_a_place_that_is_away_or_another_is_told_with_its_cause(lab, server):
    server.stop()
    assert "connection refused" in lab.invoke("backup.now", config=CONFIG, code=1).err
    server.start(lab, "another")
    try:
        assert "knownhosts: key mismatch" in lab.invoke("backup.now", config=CONFIG, code=1).err
        older(lab, 3700)
        check = checked(lab)
        assert not check["ok"] and "knownhosts: key mismatch" in check["seen"], check
        assert "; failed: " in lab.invoke("status", config=CONFIG).out
    finally:
        server.stop()
        server.start(lab)
    lab.invoke("backup.now", config=CONFIG)
    check = checked(lab)
    assert check["ok"] and "failed" not in check["seen"], check


def test_new_repositories_do_not_take_the_place_of_the_copies(lab, server):
    lab.do("nas2", "mv /mnt/backup/uploads/second-place /mnt/backup/aside")
    try:
        before = as_root("find", server.held / "current/uploads").out
        done = lab.invoke("backup.now", config=CONFIG, code=1)
        assert "backups that these do not follow, in current/uploads" in done.err, done.text
        assert as_root("find", server.held / "current/uploads").out == before
    finally:
        lab.do("nas2", "mv /mnt/backup/aside /mnt/backup/uploads/second-place")
    lab.invoke("backup.now", config=CONFIG)


def test_a_store_of_s3_holds_them_too(lab, server, tmp_path):
    with second_places.s3(tmp_path) as url:
        config = configured(lab, second_places.s3_entry(url))
        refused = lab.fab("deploy", code=1, config=config)
        assert "set CRM_S3_ACCESS_KEY and CRM_S3_SECRET_KEY" in refused.err, refused.text
        run(BIN / "fab", "deploy", limit=200, environment=lab.environment(config, **KEYS))
        assert "0 changes" in lab.fab("deploy", config=config).out
        names = second_places.s3_names(url)
        assert "pfinal/current/uploads/config" in names
        assert "pfinal/current/postgresql/backup/main/backup.info" in names
        lab.invoke("backup.now", config=config)
        assert checked(lab)["ok"]
        # What it has is what a volume that has nothing gets of it.
        held = lab.do("nas1", FETCH).split("--\n")
        assert {*held[1].splitlines()} <= {*held[0].splitlines()} and "uploads/config" in held[1]
        shown = lab.do("nas1", "cat /proc/*/cmdline; journalctl -u backup-second-place")
        assert KEYS["CRM_S3_SECRET_KEY"] not in shown
    # The one before has backups that went on elsewhere: a person says that they may be replaced.
    done = lab.fab("deploy", config=configured(lab, server.entry))
    assert "these do not follow" in done.out, done.text
    lab.invoke("backup.now", "--take-second-place", config=CONFIG)
    assert as_root("sh", "-c", f"ls {server.held}/old/*/uploads").out
    assert checked(lab)["ok"]


@pytest.fixture
def newcomer(lab, server, tmp_path):
    """Give a function that runs a task of a clone which has the log-in to the machines only."""
    clone = tmp_path / "clone"
    for name in ("fabfile", "templates", "crm"):
        ignore = shutil.ignore_patterns("__pycache__", ".pytest_cache")
        shutil.copytree(places.ROOT / name, clone / name, ignore=ignore)
    for name in ("tasks.py", "config.py"):
        shutil.copy(places.ROOT / name, clone)
    config = places.write({**lab.entries, "SECOND_PLACE": server.entry}, clone / "own.py")
    state = clone / ".state" / places.NAME

    def task(program, *words, code=0, limit=400):
        state.mkdir(parents=True, exist_ok=True)
        for name in ("id_ed25519", "id_ed25519.pub", "known_hosts"):
            shutil.copy(places.STATE / name, state)
        environment = lab.environment(config)
        return run(
            BIN / program, *words, code=code, limit=limit, environment=environment, directory=clone
        )

    return task


def test_all_machines_are_lost_and_another_computer_brings_all_back(
    lab, server, newcomer, tmp_path
):
    photos = {}
    for side in (100, 200, 300):
        photo, person = png(side=side), lab.person()
        photos[person.upload(photo).headers["Location"]] = photo
    rows = lab.sql("SELECT count(*), max(id) FROM customers", "crm")
    lab.invoke("backup.now", config=CONFIG)
    lab.invoke("backup.key", "--to", str(tmp_path / "exported"), config=CONFIG)
    for name in ("key", "key.pub", "known_hosts"):
        # It is in the exported key alone.
        (server.mine / name).rename(tmp_path / name)
    try:
        lab.replace(*(each.name for each in lab.scenario.inside))
        begin = time.monotonic()
        newcomer("invoke", "backup.key", "--from", tmp_path / "exported")
        refused = newcomer("fab", "deploy", code=1)
        assert "invoke backup.restore --from-second-place" in refused.err, refused.text
        restored = newcomer("invoke", "backup.restore", "--from-second-place", "--yes")
        assert "the database is as of what was written last" in restored.out, restored.text
        newcomer("fab", "deploy")
        print(f"\nall is back after {time.monotonic() - begin:.1f} s")
        lab.await_answer()
        assert lab.sql("SELECT count(*), max(id) FROM customers", "crm") == rows
        person = lab.person()
        for path, photo in photos.items():
            assert person.photo_of(path) == photo
        lab.await_healed()
        done = newcomer("invoke", "verify", code=None)
        assert done.code == 0, done.text
        assert "0 changes" in newcomer("fab", "deploy").out
        newcomer("invoke", "backup.now")
    finally:
        for name in ("key", "key.pub", "known_hosts"):
            (tmp_path / name).rename(server.mine / name)
