"""Scenarios of other shapes, on machines of plain Debian: without a firewall, one machine, growing.

They are in a lab of their own, beside the one of the other tests.
"""

import pytest

from tests.lab import places
from tests.lab.apart import Apart
from tests.lab.commands import wait_for

NUMBERS = {"solo": 11, "nas1": 21, "nas2": 22, "nas3": 23}
# One that comes and goes.
GUEST = "s9"
TABLE = "inet crm_host"
# Prints what deploy has left of itself on a machine: files, directories, what runs or will at boot.
LEFT = """
grep -rls 'Written by the deployer' /etc /usr/local || :
find /etc /run /usr/local /srv /var/lib/crm* -name '*crm*' ! -path '/srv/crm*' 2>/dev/null || :
find /etc/systemd -name '*.d' -type d -empty
nft list tables | grep crm_ || :
for unit in crm mnt-nas.mount haproxy pgbouncer postgresql@17-main glusterd host-rules; do
  ! systemctl -q is-active $unit || echo $unit runs
done
find /run/systemd/generator /etc/systemd/system -name 'postgresql@*'
ls /srv/crm 2>/dev/null | grep -v uploads || :
[ -e /srv/crm ] || ! id -u crm 2>/dev/null
"""
# A table of somebody else's.
FOREIGN = "nft add table inet other; nft add chain inet other mine"


def tiers(name):
    """Return what a machine is there for."""
    if name == GUEST:
        return ["app"]
    return ["balancer", "app", "database"] if name == "solo" else ["storage"]


def rented(shapes, network, names):
    """Write the scenario of some of the machines, which have one address each, on that network."""
    ranges = {"private": shapes.entries["NETWORKS"]["private"], "public": "0.0.0.0/0"}
    given = {name: shapes.entries["MACHINES"][name] for name in names}
    machines = {
        name: {
            "tiers": entry["tiers"],
            network: entry["private"],
            "ssh": f"deploy@{entry['management']}:22",
        }
        for name, entry in given.items()
    }
    entries = {**shapes.entries, "NETWORKS": {network: ranges[network]}, "MACHINES": machines}
    return shapes.write(f"{network}-{len(names)}", entries)


@pytest.fixture(scope="module")
def shapes(lab, tmp_path_factory):
    """Give machines of plain Debian."""
    place = places.apart()
    machines = {
        name: {
            "tiers": tiers(name),
            "private": f"{place.lans}4.{number}",
            "management": f"{place.management}{number}",
        }
        for name, number in {**NUMBERS, GUEST: 19}.items()
    }
    control = {"private": f"{place.lans}4.2", "management": f"{place.management}1"}
    machines["control"] = {"tier": "control", **control}
    made = Apart(lab, tmp_path_factory.mktemp("shapes"), machines)
    with made.started(bare=True):
        yield made


@pytest.fixture(scope="module")
def alone(shapes):
    """Give the scenario of one machine that has all tiers, deployed."""
    config = rented(shapes, "public", ["solo"])
    shapes.do("solo", "apt-get -qq update && apt-get -qq install nftables >/dev/null")
    shapes.do("solo", FOREIGN)
    shapes.task("fab", "deploy", config=config)
    return config


@pytest.fixture(scope="module")
def grown(shapes, alone):
    """Give the scenario of that machine and three storage servers, deployed."""
    shapes.do("solo", "runuser -u crm -- sh -c 'echo old >/srv/crm/uploads/old.txt'")
    config = rented(shapes, "public", [*NUMBERS])
    shapes.task("fab", "deploy", config=config)
    return config


def test_one_machine_is_deployed_and_true(shapes, alone):
    assert "0 changes: 1 machine is as it should be" in shapes.task("fab", "deploy", config=alone)
    said = shapes.task("invoke", "verify", config=alone)
    assert "checks are true, 2 with a warning" in said, said
    assert "warns  storage: uploads survive the loss of a machine (no: they are on solo" in said
    assert "rules: loaded" in shapes.task("invoke", "status", config=alone)


def test_the_only_server_in_maintenance_is_seen_and_one_check_says_so(shapes, alone):
    set_aside = ("invoke", "maintenance", "--server", "solo", "on")
    assert "--force does it anyway" in shapes.task(*set_aside, config=alone, code=1)
    shapes.task(*set_aside, "--force", config=alone)
    told = "solo is in maintenance, so nobody serves: 'invoke maintenance --server solo off'"
    assert told in shapes.task("fab", "deploy", config=alone)
    said = shapes.task("invoke", "status", config=alone)
    assert "in maintenance" in said and "balancer solo: MAINT" in said, said
    said = shapes.task("invoke", "verify", config=alone, code=1)
    assert said.count("FALSE") == 1 and told in said, said
    assert said.endswith("1 check is false: internet: every app server answers\n"), said
    shapes.task("invoke", "maintenance", "--server", "solo", "off", config=alone)
    assert "FALSE" not in shapes.task("invoke", "verify", config=alone)
    assert "maintenance" not in shapes.task("invoke", "status", config=alone)


def test_the_rules_of_others_stay(shapes, alone):
    assert "chain mine" in shapes.do("solo", "nft list table inet other")


def test_uploads_are_brought_onto_the_volume_that_comes(shapes, grown):
    assert "0 changes: 4 machines" in shapes.task("fab", "deploy", config=grown)
    assert shapes.do("solo", "cat /mnt/nas/crm/old.txt; ls /srv/crm/uploads") == "old\n"


def test_public_addresses_only_is_true_with_a_warning(shapes, grown):
    said = shapes.task("invoke", "verify", config=grown)
    assert "nobody can read what the machines say" in said
    assert "checks are true, 1 with a warning" in said, said


def test_the_volume_is_not_given_up_by_forgetting_it(shapes, alone, grown):
    said = shapes.task("fab", "deploy", config=alone, code=1)
    assert (
        "solo: its uploads are on the volume at /mnt/nas" in said and "Nothing was changed" in said
    )


def test_a_private_network_is_true_without_a_warning(shapes, grown):
    private = rented(shapes, "private", [*NUMBERS])
    shapes.task("fab", "deploy", config=private)
    assert "0 changes: 4 machines" in shapes.task("fab", "deploy", config=private)
    said = shapes.task("invoke", "verify", config=private)
    assert "checks are true (" in said and "warns" not in said, said


def test_a_door_that_somebody_opens_is_false_and_closed_again(shapes, grown):
    private = rented(shapes, "private", [*NUMBERS])
    shapes.do("solo", f"nft insert rule {TABLE} input tcp dport 5432 accept")
    said = shapes.task("invoke", "verify", config=private, code=1)
    assert "FALSE  perimeter: between the machines nothing else is open" in said
    assert "database.sql from storage" in said
    assert "load what the machine lets in" in shapes.task("fab", "deploy", config=private)
    assert "0 changes" in shapes.task("fab", "deploy", config=private)


def test_rules_that_are_flushed_come_back_by_themselves(shapes, grown):
    shapes.do("nas1", "nft flush ruleset")
    loaded = "/usr/local/lib/crm-deployer/host-rules status"
    wait_for("the rules to come back", lambda: "loaded" in shapes.do("nas1", loaded), 10)


def test_rules_are_loaded_on_a_jump_host_and_behind_it_at_once(shapes, grown, tmp_path):
    given = shapes.entries["MACHINES"]
    machines = {name: {"tiers": tiers(name), "private": given[name]["private"]} for name in NUMBERS}
    solo = f"deploy@{given['solo']['management']}"
    machines["solo"]["ssh"] = f"{solo}:22"
    private = {"private": shapes.entries["NETWORKS"]["private"]}
    login = {**shapes.entries["LOGIN"], "known_hosts": str(tmp_path / "known_hosts")}
    wanted = {**shapes.entries, "NETWORKS": private, "MACHINES": machines, "LOGIN": login}
    config = shapes.write("behind", wanted)
    (tmp_path / ".ssh").mkdir(mode=0o700)
    names = " ".join(given[name]["private"] for name in NUMBERS if name != "solo")
    (tmp_path / ".ssh/config").write_text(f"Host {names}\n  User deploy\n  ProxyJump {solo}\n")
    shapes.task("invoke", "hosts.trust", "--yes", config=config, HOME=str(tmp_path))
    for name in NUMBERS:
        shapes.do(name, "/usr/local/lib/crm-deployer/host-rules stop")
    said = shapes.task("fab", "deploy", config=config, HOME=str(tmp_path))
    assert said.count("load what the machine lets in\n") == len(NUMBERS), said


def test_rules_that_lock_us_out_undo_themselves(shapes, grown):
    rules, program = "/etc/crm-deployer/host.nft", "/usr/local/lib/crm-deployer/host-rules"
    look = f"grep 'tcp dport .ssh_ports accept' {rules}"
    open_ = shapes.do("nas1", look)
    shapes.do("nas1", f"sed -i '/tcp dport .ssh_ports accept/d' {rules} && {program} try")
    # Nobody can look until a new connection is let in.
    wait_for("the rules from before", lambda: shapes.do("nas1", look) == open_, 40)
    assert "loaded" in shapes.do("nas1", f"{program} status")


def test_a_machine_that_left_is_named_and_cleaned(shapes, grown):
    private = rented(shapes, "private", [*NUMBERS])
    more = rented(shapes, "private", [*NUMBERS, GUEST])
    assert "s9 is no longer" not in shapes.task("fab", "deploy", config=more)
    assert "is a machine of the scenario" in shapes.task(
        "invoke", "retire", "--name", GUEST, "--yes", config=more, code=1
    )
    said = shapes.task("fab", "deploy", config=private)
    assert "s9 is no longer in private-4.py: it runs on as it was" in said
    assert "say --yes" in shapes.task("invoke", "retire", "--name", GUEST, config=private, code=1)
    shapes.task("invoke", "retire", "--name", GUEST, "--yes", config=private)
    assert shapes.do(GUEST, LEFT) == "" == shapes.do(GUEST, "ls -d /srv/crm 2>/dev/null || :")
    assert "s9" not in shapes.task("fab", "deploy", config=private)
    known = "deployed to no machine s9"
    assert known in shapes.task(
        "invoke", "retire", "--name", GUEST, "--yes", config=private, code=1
    )


def test_a_whole_scenario_is_taken_off_and_comes_back_with_its_data(shapes, grown):
    private = rented(shapes, "private", [*NUMBERS])
    shapes.task("fab", "deploy", config=private)
    assert "say --yes" in shapes.task("invoke", "retire", "--all", config=private, code=1)
    said = shapes.task("invoke", "retire", "--all", "--yes", config=private)
    for name in NUMBERS:
        assert f"{name}: nothing else that deploy has put there is left" in said
        assert shapes.do(name, LEFT) == "", name
    assert "solo: stays: the databases in /var/lib/postgresql/17/main, stopped" in said
    stays = "/var/lib/glusterd and /nas/brick and /nas/brick-backup, stopped"
    assert f"nas1: stays: what GlusterFS keeps in {stays}" in said
    again = shapes.task("fab", "deploy", config=private)
    assert f"crm is at http://{shapes.entries['MACHINES']['solo']['private']}/\n" in again
    assert "0 changes" in shapes.task("fab", "deploy", config=private)
    assert shapes.do("solo", "cat /mnt/nas/crm/old.txt") == "old\n"
