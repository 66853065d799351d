"""The user-data for cloud-init: for whom it is, and when there is a sentence instead."""

import pytest
from invoke.exceptions import Exit

from fabfile.operations import cloud_init
from tests.lab.places import write

KEY = "ssh-ed25519 AAAA me@here"


@pytest.fixture
def shown(entries, tmp_path, monkeypatch, capsys):
    """Give a function that answers what is printed for the entries."""

    def shown(machine=""):
        entries["APPLICATION"] = {**entries["APPLICATIONS"]["crm"], "name": "crm"}
        monkeypatch.setenv("CRM_CONFIG", str(write(entries, tmp_path / "config.py")))
        cloud_init.show(machine)
        return capsys.readouterr().out

    return shown


@pytest.fixture
def key(entries, tmp_path):
    """Have the entries name a key that is there."""
    path = tmp_path / "key"
    path.write_text("secret")
    path.with_name("key.pub").write_text(f"{KEY}\n")
    entries["LOGIN"]["key"] = str(path)
    return path


def test_it_lets_the_user_of_login_in_with_the_public_key(shown, key):
    text = shown()
    assert text.startswith("#cloud-config\n")
    assert "  - name: deploy\n" in text
    assert f'      - "{KEY}"\n' in text
    assert "secret" not in text


def test_root_is_let_in_where_it_is_the_user(entries, shown, key):
    entries["LOGIN"]["user"] = "root"
    assert "disable_root: false" in shown()
    assert "sudo" not in shown()


def test_a_machine_with_another_key_has_its_own(entries, shown, key, tmp_path):
    (tmp_path / "other").write_text("secret")
    (tmp_path / "other.pub").write_text("ssh-ed25519 BBBB")
    entries["MACHINES"]["s1"]["key"] = str(tmp_path / "other")
    with pytest.raises(Exit, match="Not all machines have the same user and key"):
        shown()
    assert "BBBB" in shown("s1")
    assert KEY in shown("s2")


def test_a_machine_without_a_user_is_a_sentence(entries, shown, key):
    entries["MACHINES"]["s1"]["ssh"] = "s1.example.org"
    with pytest.raises(Exit, match=r"MACHINES\['s1'\]\['ssh'\] says no user: say user@host"):
        shown("s1")


def test_no_key_at_all_is_a_sentence(entries, shown):
    entries["LOGIN"] = {}
    with pytest.raises(Exit, match="There is no key to log in with: make one with ssh-keygen"):
        shown()


def test_an_unknown_machine_is_a_sentence(shown, key):
    with pytest.raises(Exit, match="There is no machine s9; there are fw, lb, s1"):
        shown("s9")
