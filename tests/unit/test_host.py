"""Scenarios without a firewall: where the users come, and what each machine's own rules let in."""

import pytest

from fabfile import pipeline
from fabfile.scenario.credentials import make_secrets
from fabfile.tiers.app import state as app
from fabfile.tiers.firewall import host


@pytest.fixture
def guarded(entries, read):
    """Give a function that answers the scenario of these machines, on one private network."""

    def scenario(machines, **networks):
        entries["NETWORKS"] = {"private": "10.0.0.0/24", **networks}
        entries["MACHINES"] = machines
        made = read()
        make_secrets(made.state)
        return made

    return scenario


def four(**more):
    """Return three storage servers, two of them app servers, and one for all that is single."""
    tiers = {
        "web": ["balancer", "app", "database"],
        "nas1": ["storage", "app"],
        "nas2": ["storage", "app"],
        "nas3": ["storage"],
    }
    return {
        name: {"tiers": each, "private": f"10.0.0.{number}", **more}
        for number, (name, each) in enumerate(tiers.items(), 1)
    }


def let_in(scenario, name):
    """Return the lines of a machine's rules that accept something, without what all have."""
    text = host.rules(scenario, scenario.machine(name))[2].content
    lines = [line.strip() for line in text.splitlines() if line.endswith("accept")]
    return lines[lines.index("tcp dport $ssh_ports accept") + 1 :]


def test_each_machine_lets_in_what_the_table_says(guarded):
    scenario = guarded(four())
    assert let_in(scenario, "web") == [
        "tcp dport 80 accept",
        "ip saddr { 10.0.0.2, 10.0.0.3 } tcp dport 6432 accept",
        "ip saddr { 10.0.0.2, 10.0.0.3 } tcp dport 5432 accept",
        "ip saddr { 10.0.0.2, 10.0.0.3, 10.0.0.4 } tcp dport 8433 accept",
    ]
    assert let_in(scenario, "nas1") == [
        "ip saddr { 10.0.0.1 } tcp dport 3000 accept",
        "ip saddr { 10.0.0.1 } tcp dport 3001 accept",
        "ip saddr { 10.0.0.1, 10.0.0.3, 10.0.0.4 } tcp dport 24007 accept",
        "ip saddr { 10.0.0.1, 10.0.0.3, 10.0.0.4 } tcp dport 49152-60999 accept",
        "ip saddr { 10.0.0.1 } tcp dport 8432 accept",
    ]


def test_ports_of_other_things_are_open_where_they_are_named(guarded):
    scenario = guarded(four(open=[443, "51820/udp"]))
    assert let_in(scenario, "nas3")[-2:] == ["tcp dport 443 accept", "udp dport 51820 accept"]


def test_behind_a_firewall_no_machine_has_rules_of_its_own(scenario):
    assert scenario.guarded == ()
    (step,) = [step for step in pipeline.PIPELINE if not step.tier]
    assert pipeline.machines(scenario, step) == ()


def test_the_users_come_to_a_public_address_that_the_machine_need_not_have(guarded):
    machines = four()
    machines["web"]["public"] = "203.0.113.7"
    scenario = guarded(machines, public="0.0.0.0/0")
    assert scenario.url == "http://203.0.113.7/"
    # It is where Fabric logs in, too; the machines ask each other on their own network.
    assert scenario.machine("web").ssh.host == "203.0.113.7"
    assert scenario.machine("nas1").ssh.host == "10.0.0.2"
    assert scenario.database_address == "10.0.0.1"


def test_uploads_of_the_only_app_server_stay_on_it(guarded):
    tiers = ["balancer", "app", "database"]
    scenario = guarded({"solo": {"tiers": tiers, "private": "10.0.0.1"}})
    (machine,) = scenario.machines
    unit = next(each for each in app.serving(scenario, machine) if each.key.endswith(".service"))
    assert "ReadWritePaths=/srv/crm/uploads" in unit.content and "mnt" not in unit.content
    assert "glusterfs-client" not in pipeline.packages(scenario, machine)


def test_several_app_servers_need_storage_servers(guarded, mistakes, entries):
    guarded(four())
    for name in ("nas1", "nas2"):
        entries["MACHINES"][name]["tiers"] = ["app"]
    del entries["MACHINES"]["nas3"]
    assert mistakes() == [
        "MACHINES has 3 app servers and no storage server, and an uploaded file would be on one of "
        "them only: add 3 storage servers, or keep one app server"
    ]


def test_a_machine_in_no_network_needs_a_target(guarded, mistakes, entries):
    guarded(four())
    del entries["MACHINES"]["nas3"]["private"]
    assert (
        "MACHINES['nas3'] has neither 'ssh' nor an address on a network to log in on" in mistakes()
    )
