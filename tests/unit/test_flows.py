"""Who may reach whom: what follows from the tiers' own words, on whatever networks there are."""

import subprocess
import sys

import pytest

from fabfile.operations.reach import table
from fabfile.scenario import ROOT
from fabfile.scenario.flows import FLOWS, joined, sources
from fabfile.tiers import TIERS
from fabfile.tiers.tier import Listener, Tier


def made_up(name, **more):
    return Tier(name=name, title="", people_say="", members="", about="", row=9, **more)


def test_the_table_is_what_is_listened_on_and_used():
    table = {(flow.source, flow.target, flow.listener.name) for flow in FLOWS}
    assert table == {
        ("client", "balancer", "http"),
        ("client", "balancer", "ping"),
        ("control", "firewall", "ssh"),
        ("control", "balancer", "ssh"),
        ("control", "app", "ssh"),
        ("control", "database", "ssh"),
        ("control", "storage", "ssh"),
        ("control", "balancer", "statistics"),
        ("balancer", "app", "http"),
        ("balancer", "app", "volume"),
        ("balancer", "balancer", "vrrp"),
        ("firewall", "firewall", "vrrp"),
        ("firewall", "firewall", "connections"),
        ("app", "database", "pool"),
        ("app", "database", "sql"),
        ("app", "storage", "management"),
        ("app", "storage", "bricks"),
        ("storage", "storage", "management"),
        ("storage", "storage", "bricks"),
        ("storage", "database", "copying"),
        ("database", "storage", "backups"),
        # These are there only where there are several databases.
        ("database", "database", "others"),
        ("database", "database", "roles"),
        ("database", "database", "vrrp"),
        ("database", "storage", "agreement"),
        ("storage", "storage", "members"),
    }
    assert sources("app", "http") == ("balancer",)


def test_a_new_tier_says_what_it_uses_and_no_other_one_is_touched():
    metrics = Listener("metrics", "metrics", numbers=(9100, 9100))
    monitor = made_up("monitor", uses=("app.http", "probe.metrics"))
    table = joined([*TIERS.values(), monitor, made_up("probe", listens=(metrics,))])
    new = {(flow.source, flow.target) for flow in table if flow not in FLOWS}
    assert new == {
        ("monitor", "app"),
        ("monitor", "probe"),
        ("control", "monitor"),
        ("control", "probe"),
    }


def test_a_use_of_what_nobody_listens_on_is_an_error():
    with pytest.raises(KeyError, match=r"app\.ftp"):
        joined([*TIERS.values(), made_up("monitor", uses=("app.ftp",))])


def test_machines_meet_on_the_first_network_that_both_are_on(read):
    scenario = read()
    s1, lb, bbdd = (scenario.machine(name) for name in ("s1", "lb", "bbdd"))
    assert scenario.address(s1, seen_by=lb) == "10.1.3.11"
    assert scenario.address(s1, seen_by=bbdd) == "10.1.4.11"
    assert scenario.addresses("storage", seen_by="app") == ("10.1.4.21", "10.1.4.22", "10.1.4.23")
    assert scenario.entry == "10.1.2.2"
    assert scenario.database_address == "10.1.4.31"


def test_machines_meet_on_the_management_network_only_when_there_is_no_other(entries, read):
    management = entries["NETWORKS"].pop("management")
    entries["NETWORKS"] = {"management": management, **entries["NETWORKS"]}
    assert read().address(read().machine("s1"), seen_by=read().machine("lb")) == "10.1.3.11"
    del entries["MACHINES"]["s1"]["lan3"]
    scenario = read()
    assert scenario.address(scenario.machine("s1"), scenario.machine("lb")) == "10.250.0.11"


def test_machines_that_must_meet_and_do_not_are_named(entries, mistakes):
    del entries["NETWORKS"]["management"]
    for name, machine in entries["MACHINES"].items():
        machine.pop("management")
        machine["ssh"] = f"{name}.example.org"
    del entries["MACHINES"]["s1"]["lan3"]
    assert mistakes() == [
        "MACHINES['lb'] and MACHINES['s1'] are on no common network, and a load balancer asks an "
        f"app server ({what}): give both an address on one"
        for what in ("HTTP", "whether the volume answers")
    ]


def test_machines_that_ask_each_other_for_several_things_are_named_once(entries, mistakes):
    entries["NETWORKS"]["apart"] = "10.9.9.0/24"
    del entries["NETWORKS"]["management"]
    for name, machine in entries["MACHINES"].items():
        machine.pop("management")
        machine["ssh"] = f"{name}.example.org"
    entries["MACHINES"]["nas3"] = {"tier": "storage", "apart": "10.9.9.3", "ssh": "nas3"}
    found = mistakes()
    assert len(found) == len(set(found))
    assert sum("'nas1'" in line and "'nas3'" in line for line in found) == 1
    assert sum("'s1'" in line and "'nas3'" in line for line in found) == 1


def test_the_users_machines_keep_no_lock(read):
    names = [machine.name for machine in read().keepers]
    assert names == ["lb", "fw", "s1", "s2", "s3", "bbdd", "nas1", "nas2", "nas3"]


def test_the_table_says_at_which_port_ssh_is(entries, read):
    entries["LOGIN"]["port"] = 2222
    assert "| control | firewall, balancer, app, database, storage | SSH | TCP 2222 |" in table(
        read()
    )


def test_networks_have_the_names_that_config_py_gives_them(entries, read):
    names = {"lan1": "outside", "lan2": "dmz", "lan3": "web", "lan4": "data"}
    entries["NETWORKS"] = {names.get(k, k): v for k, v in entries["NETWORKS"].items()}
    for name, machine in entries["MACHINES"].items():
        entries["MACHINES"][name] = {names.get(k, k): v for k, v in machine.items()}
    scenario = read()
    gate = scenario.machine("fw")
    assert (scenario.outer(gate), scenario.inner) == ("outside", "dmz")
    assert scenario.url == "http://10.1.2.2/"


def test_one_of_several_tiers_is_of_each_of_them(entries, read):
    del entries["MACHINES"]["bbdd"]
    entries["MACHINES"]["nas1"].update(tiers=["storage", "database"])
    del entries["MACHINES"]["nas1"]["tier"]
    scenario = read()
    (database,) = scenario.tier("database")
    assert database in scenario.tier("storage")
    assert scenario.database_address == "10.1.4.21"


def test_a_bare_python_reads_the_scenario():
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    program += "from fabfile.scenario import load\nprint(load().url)"
    # No site-packages: nothing but the standard library.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, timeout=30
    )
    assert (done.stdout, done.stderr) == ("http://10.1.2.2/\n", "")


def test_no_code_names_a_network_of_the_default_scenario():
    files = [*(ROOT / "fabfile").rglob("*.py"), *(ROOT / "fabfile").rglob("*.sh")]
    files += [path for path in (ROOT / "templates").rglob("*") if path.is_file()]
    named = [str(path) for path in files for name in "1234" if f"lan{name}" in path.read_text()]
    assert named == []


def test_the_table_in_the_readme_is_that_of_config_py(read):
    assert table(read()) in (ROOT / "README.md").read_text(), "print it: invoke flows"


def test_a_tier_without_machines_is_not_in_the_table(entries, read):
    machines = entries["MACHINES"]
    for name in ("fw", "c1", "c2", "control", "nas1", "nas2", "nas3", "s2", "s3"):
        del machines[name]
    shown = table(read())
    assert "| control | balancer, app, database | SSH | TCP 22 |" in shown
    assert "| client | balancer | HTTP | TCP 80 |" in shown
    assert "storage" not in shown and "firewall" not in shown
