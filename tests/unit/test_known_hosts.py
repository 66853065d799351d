"""Which lines of known_hosts are about a host, and what becomes of lines that nobody can read."""

import sys
from io import StringIO

import paramiko
import pytest
from invoke.exceptions import Exit
from paramiko.hostkeys import HostKeys

from fabfile.engine.identities import Identities
from fabfile.engine.known_hosts import Policy, RevokedHostKey, UnknownHostKey, keys_of
from fabfile.engine.refusals import refusal
from fabfile.engine.ssh_settings import Settings
from fabfile.operations import hosts

KEYS = [paramiko.ECDSAKey.generate() for _ in range(2)]
ONE, OTHER = (f"{key.get_name()} {key.get_base64()}" for key in KEYS)

# Any; the same in each process, for the names of the tests.
SALT = "|1|MDAwMDAwMDAwMDAwMDAwMDAwMDA=|"


@pytest.fixture
def known(tmp_path):
    """Give a function that writes lines to a file of its own, and asks it for a host."""

    def known(name, *lines):
        file = tmp_path / "known_hosts"
        file.write_text("\n".join(lines))
        return keys_of(name, [file, tmp_path / "not-there"])

    return known


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("s1", "s1"),
        ("s1", "s2,s1"),
        ("s1.example", "*.example,!s2.example"),
        ("s1", "s?"),
        ("[s1]:2222", "[s1]:2222"),
        ("[s1]:2222", "[s*]:2222"),
        ("[fd00::1]:2222", HostKeys.hash_host("[fd00::1]:2222", SALT)),
    ],
)
def test_a_line_is_about_each_host_that_it_names(known, name, pattern):
    assert known(name, f"{pattern} {ONE} a comment").known == [KEYS[0]]


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("s1", "s11"),
        ("s1", "[s1]:2222"),
        ("s2.example", "*.example,!s2.example"),
        ("[s1]:2222", "s1"),
        ("s", "[s1]"),
        ("s1", HostKeys.hash_host("s2", SALT)),
    ],
)
def test_a_line_is_about_no_other_host(known, name, pattern):
    assert known(name, f"{pattern} {ONE}").known == []


def test_what_cannot_be_read_is_left_out_with_a_warning(known, caplog):
    lines = ("s1", "s1 ssh-ed25519 AAAA-", f"@unheard-of s1 {ONE}", "s1 made-up AAAAB21hZGUtdXA=")
    found = known("s1", "# a comment", "", *lines, f"s1 {ONE}")
    assert found.known == [KEYS[0]]
    said = [record.getMessage() for record in caplog.records]
    assert [text.split(" of ")[0] for text in said] == [f"line {number}" for number in (3, 4, 5)]


def test_a_revoked_key_is_not_known_whatever_else_is_said_of_it(known):
    found = known("s1", f"s1 {ONE}", f"s1 {OTHER}", f"@revoked * {ONE}")
    assert found.known == [KEYS[1]]
    policy = Policy(found, ["nothing-is-run"])
    policy.missing_host_key(None, "s1", KEYS[1])
    with pytest.raises(RevokedHostKey):
        policy.missing_host_key(None, "s1", KEYS[0])
    with pytest.raises(UnknownHostKey):
        policy.missing_host_key(None, "s1", paramiko.ECDSAKey.generate())


def test_an_authority_that_openssh_does_not_confirm_lets_nobody_in(known):
    found = known("s1", f"@cert-authority * {ONE}")
    assert found.certified and found.known == []
    for ssh in (["false"], ["not-installed"]):
        with pytest.raises(paramiko.SSHException):
            Policy(found, ssh).missing_host_key(None, "s1", KEYS[0])


def test_keys_that_come_while_the_program_runs_are_known(known):
    assert known("s1", "").known == []
    assert known("s1", f"s1 {ONE}").known == [KEYS[0]]


def test_for_an_unknown_key_the_callers_command_is_the_one_remedy(tmp_path):
    file = tmp_path / "not-there" / "known_hosts"
    way = Settings("s1", "me", 22, "s1", (), (file,))
    places = ("MACHINES", "LOGIN", "invoke hosts.trust")
    error = UnknownHostKey("s1", KEYS[0])
    assert refusal(error, way, Identities("me", (), "", False), places, 10) == (
        "the host key of s1:22 is not known; 'invoke hosts.trust' shows it, to be compared with "
        f"the machine's own, and writes it into {file}"
    )


def test_who_cannot_be_asked_hears_where_a_key_can_be_compared(monkeypatch):
    monkeypatch.setattr(sys, "stdin", StringIO())
    with pytest.raises(Exit, match=r"console of its provider, .*Compare them, then say --yes\."):
        hosts._ask(1)
