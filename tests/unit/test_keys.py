"""The key to the backups: one file, with which another computer has all that it needs."""

import stat

import pytest

from fabfile.scenario import keys
from fabfile.scenario.credentials import make_secrets, secret


@pytest.fixture
def state(scenario):
    return scenario.state


def test_another_computer_has_the_same_passwords_and_certificates(state, tmp_path):
    file, other = tmp_path / "key", tmp_path / "other"
    assert not keys.is_exported(state)
    keys.write(state, "pfinal", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert keys.is_exported(state)
    keys.use(other, "pfinal", file)
    for name in ("secrets.json", "authority.json"):
        assert (other / name).read_text() == (state / name).read_text()
        assert stat.S_IMODE((other / name).stat().st_mode) == 0o600
    assert keys.is_exported(other)
    # Again is nothing new.
    keys.use(other, "pfinal", file)


def test_passwords_that_came_later_are_not_in_it(state, tmp_path):
    keys.write(state, "pfinal", tmp_path / "key")
    (state / "secrets.json").unlink()
    make_secrets(state)
    assert not keys.is_exported(state)


def refused(work, *given):
    with pytest.raises(keys.BadKey) as caught:
        work(*given)
    return str(caught.value)


def test_what_is_there_is_not_replaced(state, tmp_path):
    file = tmp_path / "key"
    file.write_text("mine")
    assert "is not replaced" in refused(keys.write, state, "pfinal", file)
    assert file.read_text() == "mine" and not keys.is_exported(state)
    keys.write(state, "pfinal", tmp_path / "right")
    other = tmp_path / "other"
    make_secrets(other)
    before = secret(other, "backup_password")
    assert "move it away first" in refused(keys.use, other, "pfinal", tmp_path / "right")
    assert secret(other, "backup_password") == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"scenario": "pfinal", "files": []}'])
def test_what_is_no_key_is_refused(tmp_path, text):
    file = tmp_path / "key"
    file.write_text(text)
    assert "is no key of backup.key" in refused(keys.use, tmp_path / "other", "pfinal", file)
    assert not (tmp_path / "other").exists()


def test_a_key_of_another_scenario_or_none_is_refused(state, tmp_path):
    keys.write(state, "pfinal", tmp_path / "key")
    said = refused(keys.use, tmp_path / "other", "mysite", tmp_path / "key")
    assert "is the key of pfinal" in said
    assert "cannot be read" in refused(keys.use, tmp_path, "pfinal", tmp_path / "gone")
    assert "cannot be written" in refused(keys.write, state, "pfinal", tmp_path / "no/where")
