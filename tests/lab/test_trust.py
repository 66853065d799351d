"""What a person says once: that host keys are the machines' own, and the password of sudo."""

import os
import pty
import select
import signal
import stat

import pytest

from tests.lab import places
from tests.lab.command_lines import command_lines
from tests.lab.commands import SUDO, as_root, run
from tests.lab.lab import BIN


@pytest.fixture
def strange(repaired, tmp_path):
    """Give a scenario whose known_hosts has none of the machines, and that file."""
    entries = repaired.entries
    known_hosts = tmp_path / "keys" / "known_hosts"
    entries["LOGIN"]["known_hosts"] = str(known_hosts)
    return places.write(entries, tmp_path / "config.py"), known_hosts


def test_all_new_host_keys_are_shown_and_trusted_at_once(repaired, strange):
    config, known_hosts = strange
    done = repaired.invoke("hosts.trust", config=config, code=1)
    assert "There is nobody to ask" in done.text and not known_hosts.exists()
    done = repaired.invoke("hosts.trust", "--yes", config=config)
    fingerprint = repaired.do("s2", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    line = f"{repaired.address('s2', 'management')}  ssh-ed25519 {fingerprint}"
    assert line in done.out and "9 host keys are trusted now" in done.out
    assert stat.S_IMODE(known_hosts.parent.stat().st_mode) == 0o700
    assert "0 changes" in repaired.fab("plan", config=config).out
    assert repaired.invoke("hosts.trust", config=config).out == "all machines are known\n"


def test_a_key_that_has_changed_is_not_trusted(repaired, strange):
    config, known_hosts = strange
    known_hosts.parent.mkdir()
    other = as_root("cat", places.STATE / "id_ed25519.pub").out.strip()
    known_hosts.write_text(f"{repaired.address('s1', 'management')} {other}")
    before = known_hosts.read_text()
    done = repaired.invoke("hosts.trust", "--yes", config=config, code=1)
    assert "8 host keys are trusted now" in done.out
    assert "s1: " in done.err and "shows another host key than the one in" in done.err
    assert known_hosts.read_text().splitlines()[0] == before


def test_a_person_at_a_terminal_is_asked_once(repaired, strange):
    config, known_hosts = strange
    assert "They are not trusted" in typed(repaired, config, "no\n")
    assert not known_hosts.exists()
    assert "9 host keys are trusted now" in typed(repaired, config, "yes\n")


def typed(lab, config, text, *words):
    """Return what `invoke` shows at a terminal of its own; the text is typed when it asks."""
    pid, terminal = pty.fork()
    if not pid:
        argv = [BIN / "invoke", *(words or ("hosts.trust",))]
        os.execve(argv[0], argv, lab.environment(config))
    shown = b""
    while select.select([terminal], [], [], 60)[0]:
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # its end, on Linux
            break
        if text and shown.endswith(b": "):
            os.write(terminal, text.encode())
            text = ""
    else:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(terminal)
    return shown.decode()


def test_a_keys_passphrase_is_asked_for_once_for_all_machines(repaired, tmp_path):
    locked = tmp_path / "locked"
    locked.write_text((places.STATE / "id_ed25519").read_text())
    locked.chmod(0o600)
    run("ssh-keygen", "-q", "-p", "-N", "a passphrase", "-f", locked)
    entries = repaired.entries
    entries["LOGIN"]["key"] = str(locked)
    config = places.write(entries, tmp_path / "config.py")
    shown = typed(repaired, config, "a passphrase\n", "plan")
    assert shown.count("Passphrase of") == 1 and "0 changes: 9 machines" in shown, shown


PASSWORD = "correct-horse-battery"


@pytest.fixture
def asking(repaired):
    """Have sudo ask for a password on the balancer, which keeps the lock, and on s1."""
    machines = repaired.scenario.lab.directory / "machines"
    rule = "deploy ALL=(ALL:ALL)"

    def follow(name, script):
        as_root("lxc-attach", "-P", machines, "-n", name, "--", "sh", "-ec", script)

    for name in ("lb", "s1"):
        follow(
            name, f"echo 'deploy:{PASSWORD}' | chpasswd; echo '{rule} ALL' >/etc/sudoers.d/deploy"
        )
    yield repaired, follow
    for name in ("lb", "s1"):
        follow(name, f"echo '{rule} NOPASSWD: ALL' >/etc/sudoers.d/deploy")
        follow(name, "usermod --password '!' deploy")


def test_sudo_gets_the_password_that_was_asked_for_once(asking):
    lab, follow = asking
    environment = lab.environment()
    without = lab.fab("deploy", code=1)
    assert (
        "lb: deploy may not become root by 'sudo -n' (sudo: a password is required)" in without.text
    )
    assert "or give the password with --ask-sudo" in without.text
    follow("s1", "rm /etc/crm-deployer/crm.env")
    deploy = (BIN / "fab", "deploy", "--ask-sudo")
    with command_lines(lab.scenario.lab.directory / "machines", lab.names, SUDO) as lines:
        done = run(*deploy, environment=environment, stdin=f"{PASSWORD}\n", limit=200)
    assert "crm.env" in done.out and PASSWORD not in done.text
    assert not [line for line in lines if PASSWORD.encode() in line]
    done = run(*deploy, environment=environment, stdin=f"{PASSWORD}\n")
    assert "0 changes" in done.out
    wrong = run(*deploy, environment=environment, stdin="wrong-one\n", code=1)
    assert "lb: sudo does not let deploy in with the password that was given" in wrong.text
    nothing = run(*deploy, environment=environment, code=1)
    assert "--ask-sudo wants a password, and got none" in nothing.text
