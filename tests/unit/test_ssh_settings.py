"""When ssh is asked for its settings, and how the targets of jump hosts are read."""

import pytest

from fabfile.engine import ssh_settings
from fabfile.engine.ssh_settings import NoSettings, settings, split

DEBIAN = """\
# This is the ssh client system-wide configuration file.
Include /etc/ssh/ssh_config.d/*.conf
Host *
    SendEnv LANG LC_* COLORTERM NO_COLOR
    HashKnownHosts yes
    GSSAPIAuthentication yes
"""


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Give a home and system of their own, and the hosts that ssh was asked for."""
    hosts = []
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(ssh_settings, "SYSTEM", tmp_path / "ssh_config")
    monkeypatch.setattr(ssh_settings, "_asked", lambda host, *_: hosts.append(host) or {})
    (tmp_path / "ssh_config").write_text(DEBIAN)
    (tmp_path / "ssh_config.d").mkdir()
    (tmp_path / ".ssh").mkdir()
    for each in (settings, ssh_settings._own_settings):
        each.cache_clear()
    yield hosts
    for each in (settings, ssh_settings._own_settings):
        each.cache_clear()


def test_a_computer_with_debians_own_settings_has_nothing_to_ask(asked, tmp_path):
    (tmp_path / "ssh_config.d" / "20-systemd-ssh-proxy.conf").write_text("ProxyCommand x\n")
    found = settings("fd00::1", "ana", 2222)
    assert (found.host, found.user, found.port) == ("fd00::1", "ana", 2222)
    assert found.name == "[fd00::1]:2222"
    assert found.known_hosts[0] == tmp_path / ".ssh" / "known_hosts"
    assert asked == []


@pytest.mark.parametrize("file", [".ssh/config", "ssh_config", "ssh_config.d/work.conf"])
def test_any_setting_beside_is_left_to_ssh(asked, tmp_path, file):
    (tmp_path / file).write_text(f"{DEBIAN}ProxyJump=gate\n")
    settings("s1", None, None)
    assert asked == ["s1"]


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("gate", ("gate", None, None)),
        ("ana@gate:2222", ("gate", "ana", 2222)),
        ("ssh://ana@gate:2222/", ("gate", "ana", 2222)),
        ("ana@[fd00::1]:22", ("fd00::1", "ana", 22)),
        ("ana@corp@gate", ("gate", "ana@corp", None)),
    ],
)
def test_a_jump_host_is_named_as_ssh_has_it(target, wanted):
    assert split(target) == wanted


def test_what_is_no_jump_host_is_a_sentence():
    with pytest.raises(NoSettings, match="'gate:ssh' is no jump host; it must be like"):
        split("gate:ssh")
