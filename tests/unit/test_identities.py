"""Which keys are tried, and what is said of files that are none."""

import base64
import subprocess

import paramiko
import pytest

from fabfile.engine import identities
from fabfile.engine.identities import BadKey, Identities, Locked, private_key


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Make a key, one with a passphrase, and files that are no keys; answer their directory."""
    place = tmp_path_factory.mktemp("keys")
    make = ("ssh-keygen", "-q", "-t", "ed25519", "-f")
    subprocess.run([*make, place / "plain", "-N", ""], check=True)
    subprocess.run([*make, place / "locked", "-N", "a passphrase"], check=True)
    (place / "locked.pub").rename(place / "locked-public")
    (place / "garbage").write_text("no key\n")
    return place


def test_a_public_key_in_place_of_its_private_one_is_named(files):
    with pytest.raises(BadKey) as caught:
        private_key(files / "plain.pub")
    assert str(caught.value).endswith(f"is a public key; name the private one, {files / 'plain'}")


def test_a_file_that_cannot_be_used_does_not_keep_others_from_being_tried(files):
    found = Identities("ana", [files / "garbage", files / "none", files / "plain"], "", False)
    assert found.keys == [private_key(files / "plain")] and found.locked == []
    with pytest.raises(BadKey):
        Identities("ana", [files / "garbage"], "", False)


def test_a_passphrase_is_asked_for_once_and_only_of_a_person(files, monkeypatch):
    file, asked = files / "locked", []

    def answer(prompt):
        asked.append(prompt)
        return ["wrong", "a passphrase"][len(asked) - 1]

    monkeypatch.setattr(identities.getpass, "getpass", answer)
    monkeypatch.setattr(identities.sys.stdin, "isatty", lambda: False, raising=False)
    identities.unlock(file)
    assert asked == [] and Identities("ana", [file], "", False).locked == [file]
    with pytest.raises(Locked):
        private_key(file)
    monkeypatch.setattr(identities.sys.stdin, "isatty", lambda: True, raising=False)
    identities.unlock(file)
    identities.unlock(file)
    assert len(asked) == 2 and Identities("ana", [file], "", False).locked == []


def test_an_agents_key_stands_for_its_file_and_needs_no_passphrase(files, monkeypatch):
    public = (files / "locked-public").read_text().split()
    held = paramiko.PKey.from_type_string(public[0], base64.b64decode(public[1]))
    other = paramiko.ECDSAKey.generate()
    monkeypatch.setattr(identities, "_held", lambda agent: (other, held))
    monkeypatch.setattr(identities, "_keys", {})
    found = Identities("ana", [files / "locked"], "agent", only=True)
    assert found.keys == [held] and found.locked == []
    assert Identities("ana", [files / "locked"], "agent", only=False).keys == [other, held]
