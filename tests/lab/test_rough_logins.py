"""Logins as people have them: other shells, much talk, a narrow umask, and sudo's own settings."""

import json
from contextlib import ExitStack

import pytest

from tests.lab import places
from tests.lab.commands import as_root
from tests.lab.packages import borrowed

SHELLS = {"s1": "fish", "s2": "tcsh", "s3": "zsh"}
# All files of the shells that are read at each login, also without a terminal.
TALKATIVE = """
echo 'echo welcome; echo warning >&2' |
    tee ~deploy/.config/fish/config.fish ~deploy/.tcshrc ~deploy/.zshenv >/dev/null
{ echo 'echo welcome; echo warning >&2; umask 077'; cat ~deploy/.bashrc; } >~deploy/.bashrc.new
mv ~deploy/.bashrc.new ~deploy/.bashrc
"""
QUIET = """
rm -rf ~deploy/.config/fish ~deploy/.tcshrc ~deploy/.zshenv
sed -i '/^echo welcome/d' ~deploy/.bashrc
"""
# What a deployment puts right, by each way that scripts and files come to a machine.
DAMAGE = {
    "s1": "rm /etc/crm-deployer/crm.env",
    "s2": "echo CHANGED=1 >>/etc/crm-deployer/crm.env",
    "s3": "rm /etc/systemd/system/crm.service",
    "bbdd": "sed -i '/scram/d' /etc/postgresql/*/main/pg_hba.conf",
    "lb": "echo '# by hand' >>/etc/haproxy/haproxy.cfg",
    "nas1": "rm -r /usr/local/lib/crm-deployer",
}


@pytest.fixture(scope="module")
def rough(repaired):
    """Give the user deploy another shell on each app server, and all machines a habit."""
    with ExitStack() as after:
        for name, shell in SHELLS.items():
            after.enter_context(borrowed(repaired, name, shell))
        for name in repaired.names:
            repaired.do(name, "install -d -o deploy -g deploy ~deploy/.config/fish\n" + TALKATIVE)
            after.callback(repaired.hang_up, name)
            after.callback(repaired.do, name, f"usermod --shell /bin/bash deploy\n{QUIET}")
        for name, shell in SHELLS.items():
            repaired.do(name, f"usermod --shell /usr/bin/{shell} deploy")
        repaired.do("s1", "mount -t tmpfs -o noexec,mode=1777 rough /tmp")
        # Services that were restarted meanwhile hold files in it.
        after.callback(repaired.do, "s1", "umount --lazy /tmp")
        repaired.do("nas2", "hostname nobody-knows-me")
        after.callback(repaired.do, "nas2", "hostname nas2")
        yield repaired


def test_any_login_shell_finds_all_as_it_should_be(rough):
    rough.assert_nothing_to_do()
    assert "s2: UP" in rough.invoke("status").out


def test_a_change_comes_through_any_login_shell_as_through_ours(rough):
    before = rough.state()
    for name, script in DAMAGE.items():
        rough.do(name, script)
    done = rough.fab("deploy")
    assert "welcome" not in done.text
    assert rough.state() == before
    rough.assert_nothing_to_do()


@pytest.fixture
def inside(repaired):
    """Give a function that runs a script on a machine without SSH and sudo."""

    def do(name, script):
        machines = repaired.scenario.lab.directory / "machines"
        return as_root("lxc-attach", "-P", machines, "-n", name, "--", "sh", "-ec", script).out

    return do


@pytest.fixture
def sudo(inside):
    """Give a function that has sudo follow a line on a machine."""
    changed = []

    def follow(name, line):
        changed.append(name)
        inside(name, f"printf '%s\\n' '{line}' >/etc/sudoers.d/zz-rough")

    yield follow
    for name in changed:
        inside(name, "rm -rf /etc/sudoers.d/zz-rough /var/log/sudo-io")


def test_sudo_that_logs_its_input_gets_no_secret(repaired, sudo, inside):
    names = ("lb", "s1", "bbdd")
    for name in names:
        inside(name, DAMAGE[name])
        sudo(name, "Defaults log_input, log_output, !compress_io")
    assert "0 changes" not in repaired.fab("deploy").out
    secrets = json.loads((places.STATE / "secrets.json").read_text())
    for name in names:
        # It did log: what we print, and the commands.
        assert "@@begins" in inside(name, "cat $(find /var/log/sudo-io -type f -name stdout)")
        logged = inside(name, "find /var/log/sudo-io -type f | xargs cat")
        assert [secret for secret, value in secrets.items() if value in logged] == []
        assert inside(name, "find /var/log/sudo-io -name stdin -size +0") == ""


def test_sudo_that_wants_a_terminal_is_a_sentence_with_the_remedy(repaired, sudo):
    sudo("lb", "Defaults:deploy requiretty")
    done = repaired.fab("balancer.plan", code=1)
    assert "lb: sudo wants a terminal of deploy" in done.text, done.text
    line = done.text.split("put the line '")[1].split("'")[0]
    assert line == "Defaults:deploy !requiretty"


def test_a_shell_that_runs_nothing_is_a_sentence(repaired, inside):
    inside("lb", "usermod --shell /usr/sbin/nologin deploy")
    try:
        done = repaired.fab("balancer.plan", code=1)
    finally:
        inside("lb", "usermod --shell /bin/bash deploy")
    assert "lb: the login shell of deploy runs no commands (This account is" in done.text
