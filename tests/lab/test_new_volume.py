"""Storage servers that are new, and what they may have that speaks against a volume."""

import shlex

import pytest

from tests.lab import places

pytestmark = pytest.mark.takes_the_lab_away

SERVERS = ("nas1", "nas2", "nas3")
INFO = "/var/lib/glusterd/vols/nas/info"


@pytest.fixture(scope="module")
def new(repaired):
    """Make the storage servers again, with nothing on them but the packages."""
    for name in repaired.apps:
        repaired.do(name, "systemctl stop crm mnt-nas-watch mnt-nas.mount")
    repaired.replace(*SERVERS)
    for name in SERVERS:
        # As the package does where it is installed; whoever looks at it has given it its number.
        repaired.do(name, "systemctl start glusterd; gluster system:: uuid get")
    yield repaired
    # The application's servers find the new volume in the place of the old one.
    repaired.fab("deploy", limit=240)


def refused(lab, config=places.CONFIG):
    """Return why nothing is changed on the storage servers."""
    done = lab.fab("storage.deploy", code=1, config=config)
    assert done.text.endswith("Nothing was changed.\n"), done.text
    for name in SERVERS:
        assert lab.do(name, "ls /var/lib/glusterd/peers") == ""
    return done.text.splitlines()[:-1]


def test_a_brick_on_the_systems_own_file_system(new, tmp_path):
    entries = new.entries
    entries["STORAGE"]["brick"] = "/srv/theirs/brick"
    config = places.write(entries, tmp_path / "config.py")
    assert refused(new, config) == [
        f"{name}: the brick /srv/theirs/brick is on the system's own file system, which GlusterFS "
        "refuses; mount one of its own at /srv/theirs, or name another directory: "
        "STORAGE['brick'] in config.py"
        for name in SERVERS
    ]


def test_a_brick_that_is_a_mount_point(new, tmp_path):
    entries = new.entries
    entries["STORAGE"]["brick"] = "/nas/theirs"
    config = places.write(entries, tmp_path / "config.py")
    new.do("nas2", "mkdir /nas/theirs; mount -t tmpfs theirs /nas/theirs")
    try:
        (said,) = refused(new, config)
        assert said.startswith("nas2: the brick /nas/theirs is a mount point, which GlusterFS refu")
    finally:
        new.do("nas2", "umount /nas/theirs; rmdir /nas/theirs")


def test_a_server_that_would_speak_from_another_address(new):
    to, other = new.address("nas1", "lan4"), new.address("nas2", "lan4") + "9"
    other = other[: other.rindex(".")] + ".99"
    new.do("nas2", f"ip address add {other}/24 dev lan4; ip route add {to} dev lan4 src {other}")
    try:
        (said,) = refused(new)
        assert said.startswith(f"nas2: it would speak with {to} from its address {other}, and the")
        assert f"'ip route get {to}'" in said
    finally:
        new.do("nas2", f"ip route del {to}; ip address del {other}/24 dev lan4")


def test_servers_that_are_copies_of_one(new):
    file = "/var/lib/glusterd/glusterd.info"
    text = new.do("nas1", f"cat {file}")
    own = new.do("nas3", f"cat {file}")
    new.do("nas3", f"printf %s {shlex.quote(text)} >{file}")
    try:
        (said,) = refused(new)
        assert said.startswith("nas3: the UUID of GlusterFS, ")
        assert ", is also that of nas1: it is a copy of that machine: there, 'systemctl" in said
    finally:
        new.do("nas3", f"printf %s {shlex.quote(own)} >{file}")


def test_a_first_server_that_is_newer_than_another(new):
    release = "/usr/lib/os-release"
    older = "s/^VERSION_ID=.*/VERSION_ID=12/"
    new.do("nas2", f"cp {release} {release}.own; sed -i {older} {release}")
    try:
        (said,) = refused(new)
        assert said == (
            "nas1: it runs GlusterFS 11 (Debian 13), and nas2 10 (Debian 12), which cannot join a "
            "newer one: put nas2 before nas1 in config.py"
        )
    finally:
        new.do("nas2", f"mv {release}.own {release}")


def test_what_can_be_cured_is_cured(new):
    # A pool that somebody has joined by name, a machine without localhost.
    new.do("nas1", "gluster --mode=script peer probe nas2")
    new.do("nas3", "sed -i /localhost/d /etc/hosts")
    # The mark of a volume that somebody else has made, or an attempt of ours that failed.
    mark = "setfattr -n trusted.glusterfs.volume-id -v 0x00112233445566778899aabbccddeeff"
    new.do("nas2", f"mkdir -p /nas/brick; {mark} /nas/brick")
    done = new.fab("storage.deploy", limit=120)
    assert "free the brick of a volume nas that was never made" in done.out, done.text
    assert "have the name localhost resolve" in done.out
    assert "0 changes" in new.fab("storage.deploy").out
    assert new.do("nas1", f"grep -c ^brick- {INFO}") == "3\n"
    new.await_healed()


def test_the_application_serves_from_the_new_volume(new):
    new.fab("deploy", limit=240)
    new.assert_nothing_to_do()
    new.await_answer()
