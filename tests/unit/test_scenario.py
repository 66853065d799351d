"""config.py is valid, and each mistake in it is told by one sentence that names the entry."""

import ipaddress
import socket

import paramiko
import pytest

from fabfile.engine.connecting import NotConnected, open_connection
from fabfile.scenario import ROOT, ScenarioError, load
from fabfile.scenario.inventory import Inventory


def change(entries, path, value):
    """Set the entry at a path such as "MACHINES.s1.lan3"; None removes it."""
    *parents, last = path.split(".")
    for name in parents:
        entries = entries[name]
    if value is None:
        del entries[last]
    else:
        entries[last] = value


def test_config_py_is_valid(monkeypatch):
    monkeypatch.delenv("CRM_CONFIG", raising=False)
    scenario = load(inventory=Inventory())
    assert scenario.name == "pfinal"
    assert [machine.name for machine in scenario.tier("app")] == ["s1", "s2", "s3"]
    assert str(scenario.machine("bbdd").addresses["lan4"]) == "10.1.4.31"
    assert scenario.machine("s1").login.host == "10.250.0.11"
    assert scenario.machine("control").login is None
    assert scenario.url == "http://10.1.2.2/"


BY_SFTP = {"sftp": "crm@host:22", "path": "crm", "key": "~/.ssh/crm"}
IN_S3 = {"s3": "https://s3.example.org", "bucket": "crm", "path": "pfinal", "region": "eu-1"}
MISTAKES = [
    ("MACHINES.s2.lan3", "10.1.3.11", "MACHINES['s2']['lan3'] is 10.1.3.11, which s1 has already"),
    ("MACHINES.s1.lan3", "10.9.3.11", "['lan3'] is 10.9.3.11, outside its network 10.1.3.0/24"),
    ("MACHINES.s1.lan3", "10.1.3.300", "['lan3'] is '10.1.3.300', which is not an IPv4 address"),
    ("MACHINES.s1.lan9", "10.1.9.1", "MACHINES['s1']['lan9'] is neither a known key nor a network"),
    ("MACHINES.fw.lan1", None, "MACHINES['fw'] has no address on the users' side: a network other"),
    ("MACHINES.lb.lan2", None, "MACHINES['fw'] and MACHINES['lb'] are on no common network but"),
    ("MACHINES.s1.management", None, "MACHINES['s1'] has neither 'ssh' nor a 'management' address"),
    ("MACHINES.s1.open", 443, "MACHINES['s1']['open'] is 443, it must be a list of ports"),
    ("MACHINES.s1.open", ["http"], "['open'] has 'http', a port is like 443 or '51820/udp'"),
    ("MACHINES.s1.open", [70000], "MACHINES['s1']['open'] is port 70000, it must be from 1 to"),
    ("MACHINES.s1.interfaces", {"lan9": "eth0"}, "['interfaces'] names the unknown network 'lan9'"),
    ("MACHINES.s1.tier", "apps", "MACHINES['s1'] has the unknown tier 'apps'"),
    ("MACHINES.s1.tier", None, "MACHINES['s1'] has the unknown tier None"),
    ("MACHINES.s1.tier", ["app"], "MACHINES['s1'] has the unknown tier ['app']"),
    ("MACHINES.s1.ssh", "a b", "MACHINES['s1']['ssh'] is 'a b', it must be like user@host:port"),
    ("MACHINES.s1.ssh", "me@host:70000", "MACHINES['s1']['ssh'] is port 70000, it must be from 1"),
    ("MACHINES.s1.routes", {"10.1.0.0/16": "x"}, "MACHINES['s1']['routes']['10.1.0.0/16'] is 'x'"),
    ("MACHINES.s1.key", 5, "MACHINES['s1']['key'] is 5"),
    ("MACHINES.s1", "10.1.3.11", "MACHINES['s1'] must be a dictionary"),
    ("MACHINES.web_1", {"tier": "client"}, "MACHINES['web_1'] is not a valid host name"),
    ("MACHINES.-web", {"tier": "client"}, "MACHINES['-web'] is not a valid host name"),
    (f"MACHINES.{'a' * 64}", {"tier": "client"}, "aaa'] is not a valid host name"),
    ("MACHINES.bbdd", None, "no machine of the tier 'database' (a database); add one or more"),
    ("MACHINES.nas3", None, "MACHINES has 2 machine(s) of the tier 'storage', it needs 3 or more"),
    ("STORAGE.replicas", 4, "STORAGE['replicas'] is 4, it must be an odd number, 3 or more"),
    ("STORAGE.replicas", "3", "STORAGE['replicas'] is '3', it must be a whole number"),
    ("STORAGE.replicas", 5, "MACHINES has 3 storage servers, it must be a multiple of STORAGE"),
    ("PORTS.http", 0, "PORTS['http'] is port 0, it must be from 1 to 65535"),
    ("PORTS.app", 65536, "PORTS['app'] is port 65536, it must be from 1 to 65535"),
    ("PORTS.database", 0, "PORTS['database'] is port 0, it must be from 1 to 65535"),
    ("PORTS.app", True, "PORTS['app'] is True, it must be a whole number"),
    ("PORTS.https", 443, "PORTS['https'] is not a known key; known are app, backups, database"),
    ("LOGIN.port", -1, "LOGIN['port'] is port -1, it must be from 1 to 65535"),
    ("LOGIN.user", 5, "LOGIN['user'] is 5, it must be text"),
    ("LOGIN", [], "LOGIN must be a dictionary"),
    ("NETWORKS.lan1", "10.1.1.0/33", "NETWORKS['lan1'] is '10.1.1.0/33', it must be an IPv4 range"),
    ("NETWORKS", None, "NETWORKS must be a dictionary"),
    ("MACHINES", [], "MACHINES must be a dictionary"),
    ("NAME", "Final Project", "NAME 'Final Project' must be lower-case letters, digits"),
    ("MACHINE", {}, "MACHINE is not a known entry; known are APPLICATION"),
    ("APPLICATION", "crm2", "APPLICATION is 'crm2', it must be one of crm, crm-2017"),
    ("APPLICATION", {"name": "Crm;"}, "APPLICATION['name'] is 'Crm;'"),
    ("APPLICATION", {"name": "x"}, "APPLICATION has no 'start'; add it"),
    ("APPLICATIONS", [], "APPLICATIONS must be a dictionary of name -> description"),
    ("APPLICATIONS.crm-2017", "x", "APPLICATIONS['crm-2017'] must be a dictionary"),
    ("APPLICATIONS.Crm;", {}, "APPLICATIONS['Crm;']['name'] is 'Crm;', it must begin with"),
    ("APPLICATIONS.crm.start", None, "APPLICATIONS['crm'] has no 'start'; add it"),
    ("APPLICATIONS.crm.source", "nowhere", "['source'] is 'nowhere', no such directory, git"),
    ("APPLICATIONS.crm.source", "https://host/x", "['source'] is a git URL: add the commit"),
    (
        "APPLICATIONS.crm.ref",
        "--upload-pack=x",
        "['ref'] is '--upload-pack=x', it must be a commit",
    ),
    ("APPLICATIONS.crm.packages", "gunicorn", "['packages'] is 'gunicorn', it must be a list"),
    ("APPLICATIONS.crm.packages", [5], "APPLICATIONS['crm']['packages']"),
    ("APPLICATIONS.crm.environment", {"PORT": "1"}, "['PORT'] is set by the deployer"),
    ("APPLICATIONS.crm.environment", {"PGHOST": "1"}, "['PGHOST'] is set by the deployer"),
    ("APPLICATIONS.crm.environment", {"A": "${PGHOTS}"}, "['A'] refers to ${PGHOTS}; known are"),
    ("APPLICATIONS.crm.processes", {"No": {"start": "x"}}, "['No']: a process is named by"),
    ("APPLICATIONS.crm.processes", {"w": {}}, "['processes']['w'] has no 'start'; add it"),
    ("APPLICATIONS.crm.processes", {"w": "x"}, "['processes']['w'] must be a dictionary"),
    ("APPLICATIONS.crm.processes", {"w": {"start": "x", "on": "two"}}, "it must be every or one"),
    ("APPLICATIONS.crm.files", {"../x": "config.py"}, "['files'] has '../x', it must be a path in"),
    ("APPLICATIONS.crm.files", {"x": "nowhere"}, "['files']['x'] is 'nowhere', no such file"),
    ("APPLICATIONS.crm.uploads", "/var/lib", "['uploads'] has '/var/lib', it must be a path in"),
    ("APPLICATIONS.crm.uid", 901, "['uid'] is 901, which crm has"),
    ("APPLICATIONS.crm.health", "health", "['health'] is 'health', it must begin with /"),
    ("APPLICATIONS.crm.health", ["/a", 5], "['health'] is 5, it must begin with /"),
    ("APPLICATIONS.crm.health", {}, "['health'] is {}, it must begin with /"),
    ("APPLICATIONS.crm.health", [], "['health'] names no page; name one that answers 200"),
    ("APPLICATIONS.crm.health", ["/a", "/a"], "['health'] names /a twice; remove one"),
    ("APPLICATIONS.crm.health", None, "APPLICATIONS['crm'] has no 'health'; add it"),
    ("APPLICATIONS.crm.log", "none", "['log'] is 'none', it must be all or errors"),
    ("SECOND_PLACE", "host", "SECOND_PLACE must be None or a dictionary"),
    ("SECOND_PLACE", {}, "SECOND_PLACE must name one place, as 'sftp' or as 's3'"),
    ("SECOND_PLACE", {**BY_SFTP, **IN_S3}, "must name one place, as 'sftp' or as 's3'"),
    ("SECOND_PLACE", {**IN_S3, "secret_key": "x"}, "['secret_key'] is not a known key; known are"),
    ("SECOND_PLACE", {"sftp": "a@b", "path": "c"}, "SECOND_PLACE has no 'key'; add it"),
    ("SECOND_PLACE", {**BY_SFTP, "sftp": "host"}, "['sftp'] is 'host', it must be like user@host"),
    ("SECOND_PLACE", {**BY_SFTP, "sftp": "a@b:70000"}, "['sftp'] is port 70000, it must be from 1"),
    ("SECOND_PLACE", {**BY_SFTP, "path": "../a"}, "['path'] is '../a', it must be a path of"),
    ("SECOND_PLACE", {**BY_SFTP, "path": "a b"}, "['path'] is 'a b', it must be a path of letters"),
    ("SECOND_PLACE", {**BY_SFTP, "key": 5}, "SECOND_PLACE['key'] is 5, it must be text"),
    ("SECOND_PLACE", {**IN_S3, "s3": "s3.example.org"}, "['s3'] is 's3.example.org', it must be a"),
    ("SECOND_PLACE", {**IN_S3, "bucket": "A"}, "['bucket'] is 'A', it must be 3 to 63 lower-case"),
    ("SECOND_PLACE", {**IN_S3, "region": "Eu"}, "['region'] is 'Eu', it must be like eu-central-1"),
    ("LAB.bridge_prefix", "a-long-prefix-", "LAB['bridge_prefix'] makes the bridge name"),
    ("LAB.directory", "lab", "LAB['directory'] is 'lab', it must be an absolute path"),
]


@pytest.mark.parametrize(("path", "value", "sentence"), MISTAKES)
def test_a_mistake_is_told_by_a_sentence(entries, mistakes, path, value, sentence):
    change(entries, path, value)
    found = mistakes()
    assert [line for line in found if sentence in line], found


def test_no_app_server(entries, mistakes):
    for name in ("s1", "s2", "s3"):
        del entries["MACHINES"][name]
    assert mistakes() == [
        "MACHINES has no machine of the tier 'app' (an app server); add one or more"
    ]


def test_no_machine_at_all_is_one_mistake_that_names_the_way_out(entries, mistakes):
    entries["MACHINES"] = {}
    (mistake,) = mistakes()
    assert mistake.startswith("MACHINES is empty; ") and "'invoke retire --all'" in mistake


def test_one_mistake_makes_one_sentence(entries, mistakes):
    entries["MACHINES"]["s2"]["lan3"] = "10.1.3.11"
    assert len(mistakes()) == 1


@pytest.mark.parametrize("given", ["/health", ["/health"], ["/health", "/login"]])
def test_one_page_or_several_tell_whether_an_application_works(entries, read, given):
    entries["APPLICATIONS"]["crm"]["health"] = given
    wanted = (given,) if isinstance(given, str) else tuple(given)
    assert read().application.health == wanted


def test_all_mistakes_are_told_at_once(entries, mistakes):
    entries["MACHINES"]["s2"]["lan3"] = "10.1.3.11"
    entries["MACHINES"]["s3"]["tier"] = "apps"
    entries["PORTS"]["app"] = 70000
    entries["STORAGE"]["replicas"] = 2
    del entries["MACHINES"]["bbdd"]
    found = mistakes()
    assert len(found) == 5
    for words in ("which s1 has", "'apps'", "70000", "'replicas'", "'database'"):
        assert sum(words in line for line in found) == 1


def test_machines_given_by_ssh_targets_only(entries, read):
    del entries["NETWORKS"]["management"]
    for name, machine in entries["MACHINES"].items():
        machine.pop("management")
        machine["ssh"] = f"{name}.example.org"
    entries["MACHINES"]["s1"]["ssh"] = "me@s1.example.org:2222"
    entries["LOGIN"] = {}
    scenario = read()
    login = scenario.machine("s1").login
    assert (login.user, login.host, login.port) == ("me", "s1.example.org", 2222)
    # What the target leaves open is for the user's own ~/.ssh/config.
    login = scenario.machine("s2").login
    assert (login.user, login.host, login.port) == (None, "s2.example.org", None)
    assert (login.key, login.known_hosts) == (None, None)


def test_a_login_that_fails_names_the_entry_to_repair(entries, read, tmp_path, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    entries["LOGIN"]["key"] = str(tmp_path / "none")
    entries["MACHINES"]["s2"]["key"] = str(tmp_path / "nor this")
    entries["MACHINES"]["s3"].update(ssh="s3.invalid", key=str(tmp_path / "key"))
    paramiko.ECDSAKey.generate().write_private_key_file(str(tmp_path / "key"))
    for name, entry in (
        ("s1", "LOGIN['key']"),
        ("s2", "MACHINES['s2']['key']"),
        ("s3", "MACHINES['s3']['ssh']"),
    ):
        with pytest.raises(NotConnected) as caught:
            open_connection(read().machine(name).ssh)
        assert str(caught.value).endswith(f" {entry}")
        assert not caught.value.absent


def test_fifty_app_servers(entries, read):
    machines = entries["MACHINES"]
    for number in range(4, 51):
        machines[f"s{number}"] = {
            "tier": "app",
            "lan3": f"10.1.3.{number + 100}",
            "lan4": f"10.1.4.{number + 100}",
            "management": f"10.250.0.{number + 120}",
        }
    scenario = read()
    assert len(scenario.tier("app")) == 50
    assert scenario.tier("app")[-1].addresses["lan3"] == ipaddress.ip_address("10.1.3.150")


def test_a_file_that_is_not_python(tmp_path):
    path = tmp_path / "config.py"
    path.write_text("NAME = (\n")
    with pytest.raises(ScenarioError, match="it is not valid Python: SyntaxError"):
        load(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ScenarioError, match="there is no such file; name one in CRM_CONFIG"):
        load(tmp_path / "config.py")


def test_crm_config_names_the_file(tmp_path, monkeypatch):
    path = tmp_path / "other.py"
    path.write_text((ROOT / "config.py").read_text().replace('"pfinal"', '"other"'))
    monkeypatch.setenv("CRM_CONFIG", str(path))
    assert load(inventory=Inventory()).name == "other"
