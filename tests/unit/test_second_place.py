"""The second place: what lets in there is read once, kept, and comes to storage servers alone."""

import re
import stat
import subprocess

import pytest

from fabfile.engine.resources import File
from fabfile.operations import access, databases
from fabfile.pipeline import PIPELINE, machines
from fabfile.scenario import keys
from fabfile.scenario.credentials import known_secrets, make_secrets
from fabfile.tiers.database import notes
from fabfile.tiers.database import state as database
from fabfile.tiers.storage import backup, repository, second_place
from tests.unit.conftest import issue

S3 = {"s3": "https://s3.example.org", "bucket": "crm", "path": "pfinal", "region": "eu-1"}
KEYS = {"CRM_S3_ACCESS_KEY": "AKIDEXAMPLE", "CRM_S3_SECRET_KEY": "s3cr3t-of-s3"}


def made(file, passphrase=""):
    """Make a key as a person does, and answer its public part."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(file)]
    subprocess.run(command, check=True)
    return " ".join(file.with_suffix(".pub").read_text().split()[:2])


@pytest.fixture
def by_sftp(entries, read, tmp_path):
    """Give a function that answers the scenario; the host is known, and the key is there."""
    host = made(tmp_path / "host")
    made(tmp_path / "key")
    (tmp_path / "known_hosts").write_text(f"[backup.example.org]:2222 {host}\nother {host}\n")
    entries["SECOND_PLACE"] = {
        "sftp": "crm@backup.example.org:2222",
        "path": "crm/pfinal",
        "key": str(tmp_path / "key"),
        "known_hosts": str(tmp_path / "known_hosts"),
    }

    def scenario():
        found = read()
        make_secrets(found.state)
        issue(found)
        return found

    return scenario


@pytest.fixture
def in_s3(by_sftp, entries, monkeypatch):
    """Give a function that answers the scenario; its keys are in the environment."""
    entries["SECOND_PLACE"] = S3
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return by_sftp


def files(scenario, name="nas1"):
    wanted = backup.desired(scenario, scenario.machine(name))
    return {each.path: each for each in wanted if isinstance(each, File)}


def refused(scenario):
    with pytest.raises(access.NoAccess) as caught:
        access.gather(scenario)
    assert not (scenario.state / "second-place.json").exists()
    return str(caught.value)


def test_a_key_and_the_keys_of_the_host_come_to_the_storage_servers(by_sftp, tmp_path):
    scenario = by_sftp()
    assert access.gather(scenario) == ""
    found = files(scenario)
    key, config = found[second_place.KEY], found[second_place.CONFIG]
    assert key.content == (tmp_path / "key").read_text()
    assert (key.mode, key.secret, config.mode, config.secret) == (0o600, True, 0o600, True)
    hosts = found[second_place.KNOWN_HOSTS].content
    assert re.fullmatch(r"\[backup\.example\.org\]:2222 ssh-ed25519 \S+\n", hosts)
    for line in ("host = backup.example.org", "port = 2222", "user = crm"):
        assert f"\n{line}\n" in config.content
    assert f"\nknown_hosts_file = {second_place.KNOWN_HOSTS}\n" in config.content
    unit = found[f"{repository.UNITS}/{second_place.UNIT}"].content
    assert (
        f"{second_place.CONFIG} crm/pfinal /mnt/backup\n" in unit
        and f"CPUQuota={repository.QUOTA}" in unit
    )
    assert stat.S_IMODE((scenario.state / "second-place.json").stat().st_mode) == 0o600


def test_the_keys_of_s3_are_of_the_environment_once(in_s3, monkeypatch):
    scenario = in_s3()
    access.gather(scenario)
    for name in KEYS:
        monkeypatch.delenv(name)
    access.gather(scenario)
    config = files(scenario)[second_place.CONFIG].content
    assert "access_key_id = AKIDEXAMPLE\nsecret_access_key = s3cr3t-of-s3\n" in config
    assert "endpoint = https://s3.example.org\nregion = eu-1\n" in config
    assert second_place.KEY not in files(scenario)
    assert {*KEYS.values()} <= {*known_secrets(scenario.state)}
    units = [file.content for file in files(scenario).values() if not file.secret]
    assert not [text for text in units if "s3cr3t-of-s3" in text]
    # Others take their place, both.
    monkeypatch.setenv("CRM_S3_SECRET_KEY", "another")
    with pytest.raises(access.NoAccess, match="set CRM_S3_ACCESS_KEY and CRM_S3_SECRET_KEY"):
        access.gather(scenario)
    monkeypatch.setenv("CRM_S3_ACCESS_KEY", "other")
    access.gather(scenario)
    assert scenario.access.secret_key == "another"


def test_without_keys_nothing_begins(in_s3, monkeypatch):
    for name in KEYS:
        monkeypatch.delenv(name)
    said = refused(in_s3())
    assert "CRM_S3_ACCESS_KEY" in said and "'invoke backup.key --from FILE'" in said


def test_a_host_or_a_key_that_is_not_there_is_said(by_sftp, tmp_path):
    (tmp_path / "known_hosts").write_text("")
    assert "'ssh-keyscan -p 2222 backup.example.org' prints its keys" in refused(by_sftp())
    (tmp_path / "key").write_text("mine")
    assert "is no private key of SSH" in refused(by_sftp())
    (tmp_path / "key").unlink()
    made(tmp_path / "key", "a passphrase")
    assert "which has a passphrase" in refused(by_sftp())
    (tmp_path / "key").unlink()
    assert "cannot be read (No such file or directory)" in refused(by_sftp())


def test_the_key_to_the_backups_lets_another_computer_in(by_sftp, tmp_path):
    scenario = by_sftp()
    access.gather(scenario)
    notes.note(scenario.state, "crm")
    keys.write(scenario.state, scenario.name, tmp_path / "exported")
    kept = scenario.access
    for name in ("second-place.json", "databases.json", "secrets.json"):
        (scenario.state / name).unlink()
    (tmp_path / "known_hosts").unlink()
    (tmp_path / "key").unlink()
    assert "backup.key --from" in refused(scenario)
    (scenario.state / "secrets.json").unlink(missing_ok=True)
    keys.use(scenario.state, scenario.name, tmp_path / "exported")
    assert access.gather(scenario) == "" and scenario.access == kept
    assert notes.known_since(scenario.state, "crm")
    # A file of that name is another one's there.
    made(tmp_path / "key")
    assert "is another key than the one in" in access.gather(scenario)
    assert scenario.access == kept


def test_a_key_that_was_exported_before_there_was_a_second_place_is_not_enough(
    by_sftp, entries, tmp_path
):
    scenario = by_sftp()
    keys.write(scenario.state, scenario.name, tmp_path / "exported")
    assert keys.is_exported(scenario.state)
    access.gather(scenario)
    assert not keys.is_exported(scenario.state)


def test_without_an_entry_nothing_of_it_is_anywhere(scenario):
    assert access.gather(scenario) == ""
    assert not [path for path in files(scenario) if "second-place" in path or "copier" in path]
    assert second_place.TIMER not in backup.units(scenario, scenario.machine("nas1"))


def test_no_other_machine_has_any_of_it(by_sftp):
    scenario = by_sftp()
    access.gather(scenario)
    for step in PIPELINE:
        for machine in machines(scenario, step):
            if step.tier not in ("storage", "app"):
                wanted = step.desired(scenario, machine)
                paths = [each.path for each in wanted if isinstance(each, File)]
                assert not [path for path in paths if "second-place" in path]


def test_each_server_has_another_turn_and_the_first_one_begins(by_sftp):
    scenario = by_sftp()
    access.gather(scenario)
    timer = f"{repository.UNITS}/{second_place.TIMER}"
    found = [files(scenario, name)[timer].content for name in ("nas1", "nas2", "nas3")]
    times = [re.search("^OnCalendar=(.*)$", text, re.M)[1] for text in found]
    assert times == ["*:02/15", "*:07/15", "*:12/15"]
    first = "copy the backups to the second place"
    for name, expected in (("nas1", True), ("nas2", False)):
        steps = [each.key for each in backup.begun(scenario, scenario.machine(name))]
        assert (first in steps) is expected


@pytest.mark.parametrize(
    ("has_place", "volume_is_made", "command"),
    [
        (True, True, "invoke backup.restore --from-second-place. "),
        (True, False, "invoke backup.restore. "),
        (False, True, "invoke backup.restore. "),
    ],
)
def test_who_lost_all_machines_is_told_the_way_back(
    entries, by_sftp, monkeypatch, has_place, volume_is_made, command
):
    if not has_place:
        entries["SECOND_PLACE"] = None
    scenario = by_sftp()
    access.gather(scenario)
    notes.note(scenario.state, scenario.application.name)
    monkeypatch.setattr(databases, "_first_served", lambda _: lambda _: "")

    class Change:
        def __init__(self, key):
            self.key = key

    plan = {"database": {"bbdd": [Change(database.creation(scenario))]}}
    if volume_is_made:
        plan["volume"] = {"nas1": [Change("create the volume backup")]}
    assert f"To have it again: {command}" in databases.emptiness(scenario, plan)
