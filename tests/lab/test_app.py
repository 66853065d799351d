"""The app servers: the release, its user and environment, the mounted volume, the hardened unit."""

import re

import pytest

from fabfile.tiers.app import release

APPS = ("s1", "s2", "s3")
HARDENED = {
    "User": "crm",
    "Group": "crm",
    "Restart": "always",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectControlGroups": "yes",
    "NoNewPrivileges": "yes",
    "RestrictSUIDSGID": "yes",
    "CapabilityBoundingSet": "",
    "StartLimitIntervalUSec": "0",
    "MemoryMax": str(400 * 2**20),
    "IPAddressDeny": "0.0.0.0/0 ::/0",
}

pytestmark = [pytest.mark.only_looks, pytest.mark.parametrize("name", APPS)]


@pytest.fixture
def host(lab, name):
    return lab.host(name)


@pytest.fixture
def unit(host):
    """Return the properties of the application's unit as systemd has them."""
    lines = host.check_output("systemctl show --all crm.service").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def test_the_service_runs_and_starts_at_boot(host):
    assert host.service("crm").is_running
    assert host.service("crm").is_enabled


def test_it_has_a_system_user_of_its_own(host):
    user = host.user("crm")
    assert (user.uid, user.gid, user.home) == (900, 900, "/srv/crm")
    assert user.shell == "/usr/sbin/nologin"
    assert host.check_output("passwd -S crm").split()[1] == "L"


def test_current_is_the_release_of_this_source(lab, host):
    identifier = release.identifier(lab.scenario)
    current = host.file("/srv/crm/current")
    assert current.is_symlink
    assert current.linked_to == f"/srv/crm/releases/{identifier}"


def test_the_running_process_is_of_the_current_release(host, unit):
    there = host.check_output("readlink /proc/%s/cwd", unit["MainPID"])
    assert there == host.file("/srv/crm/current").linked_to


def test_the_release_is_the_same_as_on_the_first_server(lab, host):
    sums = "cd /srv/crm/current/ && find . -type f -print0 | sort -z | xargs -0 sha256sum"
    text = host.check_output(sums)
    assert "./wsgi.py" in text
    assert text == lab.host("s1").check_output(sums)


def test_the_application_cannot_change_its_own_release(host):
    assert host.run("find /srv/crm/releases ! -user root -o -perm /022 ! -type l").stdout == ""


def test_the_environment_is_for_root_only(lab, host):
    file = host.file("/etc/crm-deployer/crm.env")
    assert (file.mode, file.user, file.group) == (0o600, "root", "root")
    names = re.findall(r"^(\w+)=", file.content_string, re.M)
    more = lab.entries["APPLICATION"]["environment"]
    given = ["DATABASE_URL", "PORT", "SECRET_KEY", "UPLOADS"]
    given += ["PGDATABASE", "PGHOST", "PGPASSWORD", "PGPORT", "PGUSER"]
    assert sorted(names) == sorted([*given, *more])


def test_the_unit_is_hardened(host, unit):
    found = {key: unit.get(key) for key in HARDENED}
    # systemd lists the two ranges in an order of its own.
    found["IPAddressDeny"] = " ".join(sorted(unit["IPAddressDeny"].split(), key=len, reverse=True))
    assert found == HARDENED
    assert "mount" not in unit["SystemCallFilter"].split()


def test_the_process_has_no_rights_beyond_its_user(host, unit):
    status = host.check_output("cat /proc/%s/status", unit["MainPID"])
    lines = dict(re.findall(r"^(\w+):\s+(\S+)", status, re.M))
    assert lines["Uid"] == "900"
    assert int(lines["CapEff"], 16) == int(lines["CapBnd"], 16) == 0
    assert (lines["NoNewPrivs"], lines["Seccomp"]) == ("1", "2")


def test_the_process_can_write_to_its_uploads_only(host, unit):
    inside = f"nsenter -t {unit['MainPID']} -m runuser -u crm -- "
    for directory in ("/", "/srv/crm/current/", "/etc", "/var/lib", "/srv/crm"):
        assert host.run(f"{inside} test -w {directory}").rc != 0, directory
    assert host.run(f"{inside} test -w /srv/crm/uploads").rc == 0
    kind = host.check_output(f"{inside} stat -fc %T /srv/crm/uploads")
    assert kind == "fuseblk" or "fuse" in kind


def test_the_volume_is_mounted_by_a_unit_with_two_servers_in_reserve(lab, host):
    assert host.service("mnt-nas.mount").is_running
    assert host.service("mnt-nas.mount").is_enabled
    assert host.service("mnt-nas-watch").is_running
    assert host.service("mnt-nas-watch").is_enabled
    mount = host.mount_point("/mnt/nas")
    assert mount.exists
    assert mount.filesystem == "fuse.glusterfs"
    servers = [lab.address(name, "lan4") for name in ("nas1", "nas2", "nas3")]
    text = host.file("/etc/systemd/system/mnt-nas.mount").content_string
    assert f"What={servers[0]}:/nas" in text
    assert f"backup-volfile-servers={servers[1]}:{servers[2]}" in text


def test_without_the_mount_there_is_nowhere_to_write(host):
    # The directory that the volume is bound over is root's and read-only, and it is empty.
    directory = host.file("/srv/crm/uploads")
    assert (directory.mode, directory.user) == (0o555, "root")
    assert directory.listdir() == []


def test_only_the_balancer_may_ask_it(lab, host, name):
    address = lab.address(name, "lan3")
    attempt = f"bash -c '</dev/tcp/{address}/3000'"
    assert lab.host("lb").run(f"timeout 20 {attempt}").rc == 0
    other = next(app for app in APPS if app != name)
    assert lab.host(other).run(f"timeout 2 {attempt}").rc != 0


def test_no_unit_has_failed(host):
    assert host.check_output("systemctl --failed --no-legend --plain") == ""


def test_no_package_of_another_tier_is_there(host):
    for package in ("haproxy", "postgresql", "glusterfs-server"):
        assert not host.package(package).is_installed
