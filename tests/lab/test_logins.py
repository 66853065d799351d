"""Logging in: what keeps us out of machines is a sentence for each, before anything is changed."""

import shutil

import pytest

from tests.lab import places
from tests.lab.commands import as_root, run, wait_for
from tests.lab.lab import BIN


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Make a key that no machine knows; answer its path."""
    path = tmp_path_factory.mktemp("keys") / "other"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
    return path


@pytest.fixture
def spoiled(repaired, keys, tmp_path):
    """Give a scenario in which nobody lets us in on six machines, each for another reason."""
    entries = repaired.entries
    machines = entries["MACHINES"]
    machines["s1"]["management"] = f"{places.MANAGEMENT}250"  # no machine is there
    machines["s2"]["key"] = str(keys)
    machines["s3"]["ssh"] = f"powerless@{repaired.address('s3', 'management')}:22"
    machines["bbdd"]["ssh"] = f"deploy@{repaired.address('bbdd', 'management')}:2222"
    other = keys.with_suffix(".pub").read_text().split()[:2]
    lines = []
    for line in (places.STATE / "known_hosts").read_text().splitlines():
        address = line.split()[0]
        if address == repaired.address("nas1", "management"):
            continue
        if address == repaired.address("nas2", "management"):
            line = " ".join([address, *other])
        lines.append(line)
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text("\n".join(lines) + "\n")
    entries["LOGIN"]["known_hosts"] = str(known_hosts)
    repaired.do(
        "s3",
        "useradd -m -s /bin/bash powerless && install -d -o powerless -m 700 ~powerless/.ssh && "
        "install -o powerless -m 600 ~deploy/.ssh/authorized_keys ~powerless/.ssh/",
    )
    yield places.write(entries, tmp_path / "config.py")
    # Its sessions end on their own time, and userdel refuses a user who has one.
    runs = "pgrep -u powerless || echo nothing"
    wait_for("powerless to be logged out", lambda: repaired.do("s3", runs) == "nothing\n")
    repaired.do("s3", "userdel -r powerless 2>/dev/null")


SENTENCES = {
    "s1": f"{places.MANAGEMENT}250:22",
    "s2": "refuses the user deploy with",
    "s3": "powerless may not become root by 'sudo -n'",
    "bbdd": ":2222 cannot be reached",
    "nas1": "the host key of",
    "nas2": "shows another host key than the one in",
}


def test_each_machine_that_keeps_us_out_is_one_sentence_and_nothing_is_changed(repaired, spoiled):
    # Something that a deployment would change, on machines that do let us in.
    repaired.do("lb", "echo '# by hand' >> /etc/haproxy/haproxy.cfg")
    repaired.do("fw", "iptables -I FORWARD -j ACCEPT")
    try:
        before = _state(repaired)
        for task in ("deploy", "plan"):
            done = repaired.fab(task, code=1, config=spoiled)
            lines = [line for line in done.text.splitlines() if line.strip()]
            for name, words in SENTENCES.items():
                own = [line for line in lines if line.startswith(f"{name}: ")]
                assert len(own) == 1, done.text
                assert words in own[0], own
            assert lines[-1] == "Nothing was changed."
            assert len(lines) == len(SENTENCES) + 1, done.text
        assert _state(repaired) == before
    finally:
        # sshd_config(5), PerSourcePenalties: who has shown a wrong key is kept out for a while.
        wait_for("s2 to let us in", lambda: repaired.fab("deploy", code=None).code == 0)


def test_a_server_that_wants_more_than_a_key_is_one_sentence(repaired):
    file = "/etc/ssh/sshd_config.d/00-more.conf"
    lines = (
        "AuthenticationMethods publickey,keyboard-interactive\\nKbdInteractiveAuthentication yes"
    )
    try:
        repaired.do("s1", f"printf '{lines}\\n' >{file}; sshd -t; systemctl reload ssh")
        done = repaired.fab("app.plan", code=1)
        place = f"{repaired.address('s1', 'management')}:22"
        assert f"s1: {place} accepts the key of deploy, and asks for more (" in done.text
        assert done.text.count("keyboard-interactive") == 1, done.text
    finally:
        repaired.do("s1", f"rm {file}; systemctl reload ssh")


def _state(lab):
    """Return what a deployment would have repaired, as it is."""
    return lab.do("lb", "cat /etc/haproxy/haproxy.cfg"), lab.do(
        "fw", "iptables-save | grep -v '^[#:]'"
    )


def test_the_sentence_for_an_unknown_host_key_names_a_remedy_that_works(repaired, tmp_path):
    entries = repaired.entries
    known_hosts = tmp_path / "not there" / "known_hosts"
    entries["LOGIN"]["known_hosts"] = str(known_hosts)
    config = places.write(entries, tmp_path / "config.py")
    done = repaired.fab("firewall.plan", code=1, config=config)
    assert "is not known; 'invoke hosts.trust' shows it" in done.text
    program, task = done.text.split("is not known; '")[1].split("'")[0].split()
    assert program == "invoke"
    repaired.invoke(task, "--yes", config=config)
    assert "0 changes" in repaired.fab("firewall.plan", config=config).out


def test_the_persons_own_ssh_config_is_honoured(repaired, tmp_path):
    ssh = tmp_path / ".ssh"
    ssh.mkdir(mode=0o700)
    shutil.copy(places.STATE / "id_ed25519", ssh / "for-the-lab")
    shutil.copy(places.STATE / "known_hosts", ssh / "known_hosts")
    entries, aliases = repaired.entries, ""
    del entries["LOGIN"]
    for name, machine in entries["MACHINES"].items():
        if machine["tier"] != "control":
            machine["ssh"] = f"lab-{name}"
            aliases += f"Host lab-{name}\n  HostName {machine['management']}\n"
    everyone = "Host lab-*\n  User deploy\n  IdentityFile ~/.ssh/for-the-lab\n"
    (ssh / "config").write_text(aliases + everyone)
    config = places.write(entries, tmp_path / "config.py")
    environment = repaired.environment(config, HOME=str(tmp_path))
    environment.pop("SSH_AUTH_SOCK", None)
    done = run(BIN / "fab", "plan", environment=environment)
    assert "0 changes: 9 machines" in done.out
    # And it is that file which let us in.
    (ssh / "config").write_text(aliases)
    refused = run(BIN / "fab", "plan", environment=environment, code=1)
    assert refused.text.count("there is no key to log in with") == 9, refused.text


@pytest.fixture
def through_s1(repaired, tmp_path):
    """Give a function that plans s2 through the jump host s1; `known` are hosts to pin."""
    entries = repaired.entries
    inner, jump = repaired.address("s2", "lan4"), repaired.address("s1", "management")
    entries["MACHINES"]["s2"]["ssh"] = f"deploy@{inner}:22"
    known_hosts = tmp_path / "known_hosts"
    entries["LOGIN"]["known_hosts"] = str(known_hosts)
    config = places.write(entries, tmp_path / "config.py")
    (tmp_path / ".ssh").mkdir(mode=0o700)
    (tmp_path / ".ssh" / "config").write_text(f"Host {inner}\n  ProxyJump deploy@{jump}:22\n")
    environment = repaired.environment(config, HOME=str(tmp_path))
    environment.pop("SSH_AUTH_SOCK", None)
    pinned = (places.STATE / "known_hosts").read_text()
    there = repaired.address("s2", "management")

    def plan(*, jump_is_known, code):
        text = pinned + pinned.replace(f"{there} ", f"{inner} ")
        lines = [
            line for line in text.splitlines() if jump_is_known or not line.startswith(f"{jump} ")
        ]
        known_hosts.write_text("\n".join(lines) + "\n")
        return run(BIN / "fab", "app.plan", environment=environment, code=code), jump, inner

    return plan


def test_a_known_jump_host_gets_our_key_and_is_gone_through(through_s1):
    done, *_ = through_s1(jump_is_known=True, code=0)
    assert "0 changes" in done.out


def test_an_unknown_jump_host_is_refused_as_any_other_and_named(through_s1):
    done, jump, _ = through_s1(jump_is_known=False, code=1)
    said = f"s2: the jump host {jump}: the host key of {jump}:22 is not known; 'invoke hosts.trust'"
    assert said in done.text, done.text
    assert "Traceback" not in done.text


def test_a_machine_that_its_jump_host_cannot_reach_is_a_sentence(repaired, through_s1):
    inside = ("lxc-attach", "-P", repaired.scenario.lab.directory / "machines", "-n", "s2", "--")
    as_root(*inside, "systemctl", "stop", "ssh")
    try:
        done, _, inner = through_s1(jump_is_known=True, code=1)
    finally:
        as_root(*inside, "systemctl", "start", "ssh")
    assert f"s2: its jump host cannot reach {inner}:22" in done.text, done.text
