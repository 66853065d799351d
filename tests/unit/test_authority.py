"""The scenario's own authority: which certificates are issued when, and what they say."""

import json
import stat
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from fabfile.operations import certificates
from fabfile.scenario.authority import AUTHORITY, FILE, MACHINE_DAYS, due
from fabfile.scenario.authority import read as known_in
from fabfile.scenario.credentials import SecretError

MACHINES = ("bbdd", "nas1", "nas2", "nas3")


def made(scenario):
    certificates.make(scenario)
    return scenario


@pytest.fixture
def issued(read):
    """Return the scenario of config.py with certificates that no other test has seen."""
    return made(read())


def openssl(*words, data=""):
    command = ["openssl", *map(str, words)]
    return subprocess.run(command, input=data, capture_output=True, text=True, timeout=20)


def test_machines_that_need_one_have_one_and_keep_it(issued):
    file = issued.state / FILE
    first = file.read_bytes()
    assert [each.split()[0] for each in known_in(issued.state)] == [AUTHORITY, *MACHINES]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    certificates.make(issued)
    assert file.read_bytes() == first


@pytest.mark.parametrize("name", ["nas1", "bbdd"])
def test_it_holds_for_the_machine_by_name_and_address(issued, tmp_path, name):
    machine = issued.machine(name)
    (tmp_path / "authority").write_text(issued.authority)
    (tmp_path / "one").write_text(issued.certificate(machine).certificate)
    verify = ["verify", "-x509_strict", "-CAfile", tmp_path / "authority"]
    address = str(next(iter(machine.addresses.values())))
    for purpose in ("sslserver", "sslclient"):
        for option in (["-verify_hostname", name], ["-verify_ip", address]):
            done = openssl(*verify, "-purpose", purpose, *option, tmp_path / "one")
            assert done.returncode == 0, done.stderr
    other = openssl(*verify, "-verify_hostname", "nas2", tmp_path / "one")
    assert other.returncode != 0


def test_key_and_certificate_go_together(issued):
    certificate = issued.certificate(issued.machine("nas1"))
    public = openssl("x509", "-noout", "-pubkey", data=certificate.certificate).stdout
    assert public and public == openssl("pkey", "-pubout", data=certificate.key).stdout


def test_one_is_issued_again_when_a_third_of_its_time_is_left(issued):
    known = known_in(issued.state)
    wanted = [each for each in known if each != AUTHORITY]
    now = datetime.now(UTC)
    assert due(known, wanted, now + timedelta(days=MACHINE_DAYS * 2 // 3 - 1)) == []
    late = now + timedelta(days=MACHINE_DAYS * 2 // 3 + 1)
    assert due(known, wanted, late) == wanted


def test_a_machine_with_another_address_gets_another_one(issued, entries, read):
    before = issued.certificate(issued.machine("nas1")), issued.certificate(issued.machine("nas2"))
    known, entries["MACHINES"]["nas1"]["lan4"] = entries["MACHINES"]["nas1"]["lan4"], "10.1.4.99"
    again = made(read())
    after = again.certificate(again.machine("nas1")), again.certificate(again.machine("nas2"))
    assert after[0] != before[0] and after[1] == before[1]
    # Who only thought of it has the one of before, which is deployed.
    entries["MACHINES"]["nas1"]["lan4"] = known
    back = made(read())
    assert back.certificate(back.machine("nas1")) == before[0]


def test_an_authority_that_ends_soon_is_issued_for_the_same_key(issued, tmp_path):
    file = issued.state / FILE
    kept = json.loads(file.read_text())
    kept[AUTHORITY]["until"] = datetime.now(UTC).isoformat()
    file.write_text(json.dumps(kept))
    certificates.make(issued)
    assert issued.authority != kept[AUTHORITY]["certificate"]
    # What it has issued before holds.
    (tmp_path / "authority").write_text(issued.authority)
    (one,) = (each for name, each in kept.items() if name.startswith("nas1 "))
    (tmp_path / "one").write_text(one["certificate"])
    done = openssl("verify", "-CAfile", tmp_path / "authority", tmp_path / "one")
    assert done.returncode == 0, done.stderr


def test_a_certificate_that_nobody_has_issued_is_an_error(read):
    scenario = read()
    with pytest.raises(SecretError, match=r"nas1 has no certificate in .*: deploy makes it"):
        scenario.certificate(scenario.machine("nas1"))
    assert not scenario.state.exists()
