"""The storage servers: one GlusterFS volume, three copies of each file, no quorum given up."""

import secrets

import pytest

pytestmark = pytest.mark.only_looks

SERVERS = ("nas1", "nas2", "nas3")
CLIENT_PORT = 24007


@pytest.fixture(scope="module")
def options(lab):
    """Return every option of the volume, as the storage servers have it in force."""
    lines = lab.do("nas1", "gluster volume get nas all").splitlines()
    pairs = [line.split(maxsplit=1) for line in lines if " " in line]
    # GlusterFS marks the value of an option that has its default.
    return {words[0]: words[1].replace("(DEFAULT)", "").strip() for words in pairs}


@pytest.fixture(scope="module")
def info(lab):
    """Return what `gluster volume info` says, by name."""
    lines = lab.do("nas1", "gluster volume info nas").splitlines()
    return dict(line.split(": ", 1) for line in lines if ": " in line)


@pytest.mark.parametrize("name", SERVERS)
def test_glusterd_runs_and_starts_at_boot(lab, name):
    host = lab.host(name)
    assert host.package("glusterfs-server").is_installed
    assert host.service("glusterd").is_running
    assert host.service("glusterd").is_enabled
    for unit in ("glusterd-watch", "glusterd-watch-backup", "mnt-backup.mount"):
        assert host.service(unit).is_running
        assert host.service(unit).is_enabled


def test_the_volume_keeps_three_copies(lab, info):
    assert info["Type"] == "Replicate"
    assert info["Status"] == "Started"
    assert info["Number of Bricks"] == "1 x 3 = 3"
    bricks = {info[f"Brick{number}"] for number in (1, 2, 3)}
    assert bricks == {f"{lab.address(name, 'lan4')}:/nas/brick" for name in SERVERS}


def test_quorum_is_left_on(options):
    assert options["cluster.quorum-type"] == "auto"
    assert options["cluster.quorum-count"] in ("(null)", "0")


def test_a_dead_server_freezes_access_for_five_seconds_at_most(options):
    assert options["network.ping-timeout"] == "5"


def test_what_a_dying_server_left_is_healed_within_seconds(options):
    assert options["cluster.heal-timeout"] == "30"


def test_only_the_app_and_the_storage_servers_are_let_in(lab, options):
    allowed = options["auth.allow"].split(",")
    members = [*lab.apps, *SERVERS]
    assert sorted(allowed) == sorted(lab.address(name, "lan4") for name in members)


@pytest.mark.parametrize("name", SERVERS)
def test_a_brick_is_a_directory_on_a_file_system_of_its_own(lab, name):
    host = lab.host(name)
    assert host.file("/nas/brick").is_directory
    assert host.run("mountpoint -q /nas").rc == 0
    assert host.check_output("stat -fc %T /nas") != "overlayfs"


@pytest.mark.parametrize("name", SERVERS)
def test_each_brick_is_served(lab, name):
    listening = lab.host(name).check_output("ss -Hltnp | grep -c glusterfsd")
    assert int(listening) >= 1


def test_the_others_are_members_of_the_pool(lab):
    for name in SERVERS:
        text = lab.do(name, "gluster pool list")
        assert text.count("Connected") == len(SERVERS), text


def test_nothing_is_to_heal(lab):
    lab.await_healed()


def test_a_file_written_on_one_app_server_is_on_every_brick(lab):
    name, content = f"/mnt/nas/.test-{secrets.token_hex(4)}", secrets.token_hex(20)
    lab.do("s1", f"echo {content} > {name}")
    try:
        for app in lab.apps:
            assert lab.do(app, f"cat {name}").strip() == content
        for server in SERVERS:
            brick = name.replace("/mnt/nas", "/nas/brick")
            assert lab.do(server, f"cat {brick}").strip() == content
    finally:
        lab.do("s1", f"rm {name}")


def test_storage_is_out_of_reach_from_the_balancer(lab):
    # It has no address on LAN4, and no machine leads there.
    address = lab.address("nas1", "lan4")
    attempt = f"bash -c '</dev/tcp/{address}/{CLIENT_PORT}' 2>&1"
    assert lab.host("lb").run(f"timeout 2 {attempt}").rc != 0
    assert lab.host("s1").run(f"timeout 20 {attempt}").rc == 0
