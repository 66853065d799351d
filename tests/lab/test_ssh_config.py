"""~/.ssh as people have it: each machine is reached by another of ssh's ways, and none by LOGIN."""

import os
import shutil

import pytest

from tests.lab import places
from tests.lab.commands import as_root, run
from tests.lab.lab import BIN

CONFIG = """\
# Not of this scenario: whoever takes it for all hosts gets nowhere.
Match host nobody exec "false"
    User nobody
Match host lab-nas1 exec "test -d {ssh}"
    Port 22
Host lab-s2
    HostName {s2}
    HostKeyAlias s2-of-the-lab
    ProxyJump lab-gate,lab-jump
Host lab-s3
    HostName {s3}
    HostKeyAlias s3-of-the-lab
    ProxyCommand ssh -F {ssh}/config -o LogLevel=ERROR -W %h:%p lab-gate
Host lab-jump
    HostName {jump}
    HostKeyAlias jump-host
Host lab-gate
    HostName {gate}
    ProxyJump none
Host lab-bbdd lab-lb
    IdentityAgent {ssh}/agent
Host lab-bbdd
    IdentityFile none
Host lab-lb
    IdentityFile {ssh}/locked
    IdentitiesOnly yes
Host lab-nas2
    IdentityFile ~/.ssh/not-there
    IdentityFile ${{HOME}}/.ssh/for-the-lab
Host lab-nas2 lab-bbdd lab-lb
    IdentitiesOnly yes
Host lab-*
    User deploy
    UserKnownHostsFile {ssh}/known_hosts
    IdentityFile {ssh}/for-the-lab
# The first value of each word counts: here are addresses of those that have none above.
Include {ssh}/more.conf
"""


@pytest.fixture
def home(repaired, tmp_path):
    """Make a home with an ~/.ssh, and the scenario of a person who has it; answer both."""
    ssh = tmp_path / ".ssh"
    ssh.mkdir(mode=0o700)
    shutil.copy(places.STATE / "id_ed25519", ssh / "for-the-lab")
    entries = repaired.entries
    del entries["LOGIN"]
    aliases = ""
    for name, machine in entries["MACHINES"].items():
        if machine["tier"] != "control":
            machine["ssh"] = f"lab-{name}"
            aliases += f"Host lab-{name}\n  HostName {machine['management']}\n"
    (ssh / "more.conf").write_text(aliases)
    text = CONFIG.format(
        ssh=ssh,
        s2=repaired.address("s2", "lan4"),
        s3=repaired.address("s3", "lan4"),
        jump=repaired.address("s1", "lan4"),
        gate=repaired.address("nas3", "management"),
    )
    (ssh / "config").write_text(text)
    _write_known_hosts(repaired, ssh / "known_hosts")
    environment = repaired.environment(
        places.write(entries, tmp_path / "config.py"), HOME=str(tmp_path)
    )
    environment.pop("SSH_AUTH_SOCK", None)
    return ssh, environment


def _write_known_hosts(lab, path):
    """Write the lab's host keys, with aliases, hashed, and among what nobody can read."""
    lines = (places.STATE / "known_hosts").read_text().splitlines()
    keys = {line.split()[0]: line.split(" ", 1)[1] for line in lines}
    own = {name: keys[lab.address(name, "management")] for name in lab.names}
    aliases = {"s2-of-the-lab": "s2", "s3-of-the-lab": "s3", "jump-host": "s1"}
    pinned = [f"{alias} {own[name]}" for alias, name in aliases.items()]
    path.write_text("\n".join([*pinned, *lines]) + "\n")
    run("ssh-keygen", "-q", "-H", "-f", path)
    broken = ["half a line", f"@revoked nobody.example {own['fw']}", "x ssh-ed25519 AAAA-"]
    hashed = path.read_text()
    assert lab.address("fw", "management") not in hashed
    path.write_text("\n".join([*broken, hashed]))


@pytest.fixture
def agent(home):
    """Start an agent that holds the lab's key; a file of the same key has a passphrase."""
    ssh, _ = home
    started = run("ssh-agent", "-s", "-a", ssh / "agent").out
    environment = {**os.environ, "SSH_AUTH_SOCK": str(ssh / "agent")}
    run("ssh-add", "-q", ssh / "for-the-lab", environment=environment)
    shutil.copy(ssh / "for-the-lab", ssh / "locked")
    run("ssh-keygen", "-q", "-p", "-N", "a passphrase", "-f", ssh / "locked")
    yield
    pid = started.split("SSH_AGENT_PID=")[1].split(";")[0]
    run("kill", pid)


def test_each_of_sshs_ways_leads_to_its_machine(home, agent):
    ssh, environment = home
    done = run(BIN / "fab", "plan", environment=environment)
    assert "0 changes: 9 machines" in done.out, done.text
    assert f"line 1 of {ssh / 'known_hosts'} cannot be read, and is left out" in done.err
    assert "Traceback" not in done.text


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("Port 22x", "line 1: Bad port '22x'"),
        ("Prot 22", "line 1: Bad configuration option: prot"),
        ("Match tagged work of-nobody", "line 1: Bad Match condition"),
    ],
)
def test_a_line_that_ssh_does_not_take_is_its_own_sentence(home, line, wanted):
    ssh, environment = home
    config = ssh / "config"
    config.write_text(f"{line}\n{config.read_text()}")
    done = run(BIN / "fab", "database.plan", environment=environment, code=1)
    assert "ssh does not take its settings (" in done.text and f"{config}" in done.text, done.text
    assert wanted in done.text
    assert "Traceback" not in done.text


def test_keys_that_cannot_be_used_are_a_sentence_each(home):
    ssh, environment = home
    shutil.copy(ssh / "for-the-lab", ssh / "locked")
    run("ssh-keygen", "-q", "-p", "-N", "a passphrase", "-f", ssh / "locked")
    shutil.copy(places.STATE / "id_ed25519.pub", ssh / "wrong.pub")
    (ssh / "wrong").write_text("no key\n")
    named = {"nas1": "locked", "nas2": "wrong.pub", "nas3": "wrong"}
    own = "".join(f"Host lab-{name}\n  IdentityFile {ssh}/{key}\n" for name, key in named.items())
    everyone = f"Host *\n  User deploy\n  UserKnownHostsFile {ssh}/known_hosts\n"
    (ssh / "config").write_text((ssh / "more.conf").read_text() + own + everyone)
    done = run(BIN / "fab", "storage.plan", environment=environment, code=1)
    assert f"nas1: the key {ssh}/locked has a passphrase, and nobody gave it" in done.text
    assert f"nas2: {ssh}/wrong.pub is a public key; name the private one, {ssh}/wrong;" in done.text
    assert f"nas3: {ssh}/wrong is no private key that can be read" in done.text
    assert "Traceback" not in done.text


@pytest.fixture
def certified(repaired, home):
    """Have an authority sign nas1's host key, and nas1 show it; give a function that names it."""
    ssh, environment = home
    inside = ("lxc-attach", "-P", repaired.scenario.lab.directory / "machines", "-n", "nas1", "--")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ssh / "authority")
    host_key = "/etc/ssh/ssh_host_ed25519_key"
    (ssh / "host.pub").write_text(as_root(*inside, "cat", f"{host_key}.pub").out)
    address = repaired.address("nas1", "management")
    sign = ("ssh-keygen", "-q", "-s", ssh / "authority", "-I", "nas1", "-h")
    run(*sign, "-n", address, "-V", "-1h:+1h", ssh / "host.pub")
    certificate = (ssh / "host-cert.pub").read_text()
    setting = "/etc/ssh/sshd_config.d/20-certificate.conf"
    script = f"cat >{host_key}-cert.pub; echo HostCertificate {host_key}-cert.pub >{setting}"
    as_root(*inside, "sh", "-c", f"{script}; systemctl reload ssh", stdin=certificate)

    def plan(*lines, code=0):
        others = [
            line
            for line in (places.STATE / "known_hosts").read_text().splitlines()
            if not line.startswith(f"{address} ")
        ]
        (ssh / "known_hosts").write_text("\n".join([*others, *lines]) + "\n")
        return run(BIN / "fab", "storage.plan", environment=environment, code=code).text

    yield plan, address, (ssh / "authority.pub").read_text().strip(), ssh
    as_root(*inside, "sh", "-c", f"rm {setting} {host_key}-cert.pub; systemctl reload ssh")


def test_a_certificate_counts_if_the_named_authority_has_signed_it(certified):
    plan, address, authority, ssh = certified
    assert "0 changes" in plan(f"@cert-authority 10.* {authority}")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ssh / "another")
    another = (ssh / "another.pub").read_text().strip()
    text = plan(f"@cert-authority 10.* {another}", code=1)
    assert f"nas1: {address}:22 shows no host key that the @cert-authority of" in text, text


def test_a_revoked_key_is_refused(certified):
    plan, address, _, ssh = certified
    key = (ssh / "host.pub").read_text().strip()
    text = plan(f"{address} {key}", f"@revoked * {key}", code=1)
    assert f"nas1: {address}:22 shows a host key that {ssh}/known_hosts revokes" in text, text


def test_eight_at_once_through_a_jump_host_that_takes_three(repaired, home):
    ssh, environment = home
    inside = ("lxc-attach", "-P", repaired.scenario.lab.directory / "machines", "-n", "s1", "--")
    setting = "/etc/ssh/sshd_config.d/20-startups.conf"
    behind = {name: "lan4" for name in ("s2", "s3", "bbdd", "nas1", "nas2", "nas3")} | {
        "lb": "lan3"
    }
    config = "".join(
        f"Host lab-{name}\n  HostName {repaired.address(name, network)}\n  ProxyJump lab-s1\n"
        f"  HostKeyAlias {repaired.address(name, 'management')}\n"
        for name, network in behind.items()
    )
    everyone = f"Host *\n  User deploy\n  IdentityFile {ssh}/for-the-lab\n"
    (ssh / "config").write_text(config + everyone + (ssh / "more.conf").read_text())
    as_root(*inside, "sh", "-c", f"echo MaxStartups 3:100:3 >{setting}; systemctl reload ssh")
    try:
        done = run(BIN / "fab", "plan", environment=environment)
    finally:
        as_root(*inside, "sh", "-c", f"rm {setting}; systemctl reload ssh")
    assert "0 changes: 9 machines" in done.out, done.text
