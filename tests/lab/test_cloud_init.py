"""User-data of `scenario.cloud-init`: Debian's cloud-init makes a machine let us in by it."""

import pytest

from tests.lab import places
from tests.lab.commands import run

pytestmark = pytest.mark.installs_packages

NAME = "c2"
# How the image of a provider is set, as far as this machine must stay one of the lab.
SETTINGS = """
datasource_list: [NoCloud]
network: {config: disabled}
preserve_hostname: true
ssh_deletekeys: false
ssh_genkeytypes: [ed25519]
"""
SEED = "/var/lib/cloud/seed/nocloud"
# What a first boot runs, see cloud-init(1).
BOOT = "cloud-init init --local && cloud-init init && cloud-init modules --mode=config"


@pytest.fixture
def machine(lab):
    """Give a function that runs a script on a machine with cloud-init, and clean up behind it."""
    lab.do(
        NAME,
        "apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq install -y "
        "--no-install-recommends cloud-init >/dev/null 2>&1",
        limit=300,
    )
    yield lambda script: lab.do(NAME, script)
    lab.do(
        NAME,
        "userdel -r renter 2>/dev/null || :; rm -rf /var/lib/cloud /etc/cloud; "
        "DEBIAN_FRONTEND=noninteractive apt-get -qq purge -y cloud-init >/dev/null 2>&1",
        limit=120,
    )


@pytest.fixture
def rented(lab, tmp_path):
    """Return a config file whose machines let nobody in yet, and the key that shall."""
    entries = lab.entries
    key = tmp_path / "key"
    entries["LOGIN"] = {**entries["LOGIN"], "user": "renter", "key": str(key)}
    return places.write(entries, tmp_path / "config.py"), key


def test_a_machine_started_with_it_lets_the_deployer_in_and_be_root(lab, machine, rented):
    config, key = rented
    data = lab.invoke("scenario.cloud-init", config=config).out
    machine(
        f"mkdir -p {SEED}; cat >/etc/cloud/cloud.cfg.d/99-lab.cfg <<'END'\n{SETTINGS}END\n"
        f"echo 'instance-id: rented' >{SEED}/meta-data\n"
        f"cat >{SEED}/user-data <<'END'\n{data}END\n"
    )
    said = machine(f"cloud-init schema --config-file {SEED}/user-data 2>&1")
    assert "Valid " in said, said
    login = ["ssh", "-F", lab.ssh_config, "-o", f"IdentityFile={key}", "-o", "ControlPath=none"]
    command = [*login, f"renter@{NAME}", "sudo -n id -un"]
    refused = run(*command, code=255)
    assert "Permission denied" in refused.err
    machine(f"{{ {BOOT}; }} >/var/log/cloud-init-lab.log 2>&1")
    assert run(*command).out == "root\n"
    assert machine("passwd -S renter").split()[1] == "L"  # no password opens it
