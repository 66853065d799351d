"""The command line: what a person may type, and the sentences that follow from mistakes."""

import json
import re
import socket
import threading

import pytest

from tests.lab import places
from tests.lab.commands import as_root, run
from tests.lab.lab import BIN, bridges, rules

pytestmark = pytest.mark.only_looks

MISTAKES = {
    "address used twice": (
        lambda e: e["MACHINES"]["s2"].update(lan3=e["MACHINES"]["s1"]["lan3"]),
        f"MACHINES['s2']['lan3'] is {places.LANS}3.11, which s1 has already",
    ),
    "address outside its network": (
        lambda e: e["MACHINES"]["s1"].update(lan3="10.9.3.11"),
        f"MACHINES['s1']['lan3'] is 10.9.3.11, outside its network {places.LANS}3.0/24",
    ),
    "unknown network": (
        lambda e: e["MACHINES"]["s1"].update(lan9=f"{places.LANS}9.1"),
        "MACHINES['s1']['lan9'] is neither a known key nor a network",
    ),
    "unknown tier": (
        lambda e: e["MACHINES"]["s1"].update(tier="apps"),
        "MACHINES['s1'] has the unknown tier 'apps'",
    ),
    "no database": (
        lambda e: e["MACHINES"].pop("bbdd"),
        "MACHINES has no machine of the tier 'database'",
    ),
    "no app server": (
        lambda e: [e["MACHINES"].pop(name) for name in ("s1", "s2", "s3")],
        "MACHINES has no machine of the tier 'app'",
    ),
    "two storage servers": (
        lambda e: e["MACHINES"].pop("nas3"),
        "MACHINES has 2 machine(s) of the tier 'storage'",
    ),
    "even number of replicas": (
        lambda e: e["STORAGE"].update(replicas=4),
        "STORAGE['replicas'] is 4, it must be an odd number",
    ),
    "invalid host name": (
        lambda e: e["MACHINES"].update({"web_1": {"tier": "client", "lan1": f"{places.LANS}1.99"}}),
        "MACHINES['web_1'] is not a valid host name",
    ),
    "port out of range": (
        lambda e: e["PORTS"].update(http=70000),
        "PORTS['http'] is port 70000",
    ),
    "unknown key": (
        lambda e: e["LOGIN"].update(password="x"),
        "LOGIN['password'] is not a known key",
    ),
}


@pytest.fixture
def visitors():
    """Open a door on this computer; return its port, and the list of those who came to it."""
    came = []
    with socket.create_server(("127.0.0.1", 0)) as door:

        def open_door():
            while True:
                try:
                    visitor, address = door.accept()
                except OSError:
                    return  # it is shut
                came.append(address)
                visitor.close()

        thread = threading.Thread(target=open_door)
        thread.start()
        yield door.getsockname()[1], came
        door.shutdown(socket.SHUT_RDWR)
    thread.join()


def behind_the_door(lab, port):
    """Return the entries of a scenario whose machines are all that door."""
    entries = lab.entries
    for machine in entries["MACHINES"].values():
        machine["ssh"] = f"nobody@127.0.0.1:{port}"
    return entries


def tasks(program):
    """Return name -> description of each task that a program lists."""
    text = run(BIN / program, "--list", "--list-format=json", directory=places.ROOT).out
    root = json.loads(text)
    tiers = [(f"{tier['name']}.", tier["tasks"]) for tier in root["collections"]]
    every = [("", root["tasks"]), *tiers]
    return {prefix + task["name"]: task["help"] for prefix, found in every for task in found}


def test_fab_and_invoke_list_the_same_tasks_each_with_a_description():
    listed = tasks("fab")
    assert listed == tasks("invoke")
    assert {"deploy", "plan", "verify", "status", "lab.up", "lab.down"} <= set(listed)
    tiers = ("database", "storage", "app", "balancer", "firewall")
    assert {f"{tier}.deploy" for tier in tiers} <= set(listed)
    assert [name for name, description in listed.items() if len(description.split()) < 4] == []
    for program in ("fab", "invoke"):
        plain = run(BIN / program, "--list", directory=places.ROOT).out
        assert [name for name in listed if name not in plain] == []


def test_each_kind_of_bad_scenario_is_one_sentence_and_contacts_nobody(lab, visitors, tmp_path):
    port, came = visitors
    for change, sentence in MISTAKES.values():
        entries = behind_the_door(lab, port)
        change(entries)
        config = places.write(entries, tmp_path / "config.py")
        done = lab.fab("deploy", code=1, config=config)
        assert sentence in done.text
        assert "nothing was done" in done.text
        assert "Traceback" not in done.text
    assert came == []


def test_a_good_scenario_does_contact_its_machines(lab, visitors, tmp_path):
    port, came = visitors
    config = places.write(behind_the_door(lab, port), tmp_path / "config.py")
    done = lab.fab("plan", code=1, config=config)
    assert len(came) >= 9
    assert "Nothing was changed" in done.text
    assert "Traceback" not in done.text, done.text


def test_all_mistakes_are_told_at_once_by_every_task(lab, tmp_path):
    entries = lab.entries
    for name in ("address used twice", "port out of range", "unknown key", "two storage servers"):
        change, _ = MISTAKES[name]
        change(entries)
    config = places.write(entries, tmp_path / "config.py")
    for task in ("deploy", "plan", "status", "verify", "lab.up", "lab.status"):
        done = lab.invoke(task, code=1, config=config)
        assert "has 4 mistake(s)" in done.text, task


def test_a_file_that_is_not_there(lab, tmp_path):
    done = lab.fab("deploy", code=1, config=tmp_path / "none.py")
    assert "there is no such file" in done.text


def test_status_of_the_lab(lab):
    lines = [line.split() for line in lab.invoke("lab.status").out.splitlines()]
    assert lines[0] == ["machine", "tier", "address", "state", "image", "SSH"]
    rows = {words[0]: words[1:] for words in lines[1:]}
    assert set(rows) == set(lab.names)
    address = lab.address("s1", "management")
    assert rows["s1"] == ["app", address, "running", "prepared", "answers"]


def test_a_command_on_a_machine_and_its_exit_code(lab):
    done = lab.invoke("lab.ssh", "s1", "--", "hostname")
    assert done.out == "s1\n"
    assert lab.invoke("lab.ssh", "nas1", "--", "exit 7", code=7)
    assert lab.fab("lab.ssh", "s2", "--command", "hostname").out == "s2\n"


@pytest.mark.parametrize("task", ["lab.ssh", "lab.stop", "lab.start"])
def test_an_unknown_machine(lab, task):
    done = lab.invoke(task, "s9", code=1)
    assert "There is no machine s9; there are c1, c2, fw, lb, s1" in done.text


def test_a_second_lab_up_does_nothing(lab):
    assert "nothing to do" in lab.invoke("lab.up").out


def test_status_tells_what_runs_where(lab):
    text = lab.invoke("status").out
    for words in ("fw", "haproxy", "glusterd", "postgresql", "s3: UP", "volume nas"):
        assert words in text, words


def test_up_refuses_what_this_computer_lacks_before_anything_starts(lab, tmp_path):
    number = places.NUMBER
    lans = places.lans("refused")
    entries = lab.entries
    entries["LAB"].update(
        directory=str(tmp_path / "lab"), bridge_prefix=f"r{number}-", disk_mb=10**9, memory_mb=10**9
    )
    config = tmp_path / "config.py"
    text = places.write(entries, config).read_text()
    text = text.replace(places.LANS, lans)
    config.write_text(text.replace(places.MANAGEMENT, places.MANAGEMENT.replace("251", "253")))
    taken = (f"r{number}-lan2", f"other{number}")
    for name in taken:  # left by a killed run
        as_root("ip", "link", "delete", name, code=None)
    try:
        for name in taken:
            as_root("ip", "link", "add", name, "type", "bridge")
        as_root("ip", "address", "add", f"{lans}3.7/24", "dev", taken[1])
        as_root("ip", "link", "set", taken[1], "up")
        done = lab.invoke("lab.up", code=1, config=config)
        assert f"r{number}-lan1" not in run("ip", "-brief", "link").out
    finally:
        for name in taken:
            as_root("ip", "link", "delete", name, code=None)
    for sentence in (
        r"MiB are free at .*, the lab needs 1000000000",
        r"MiB of memory are available, 11 machines need 1000000000",
        rf"The network interface {taken[0]} exists already and is not this lab's",
        rf"NETWORKS\['lan3'\] {lans}3.0/24 is in use on this computer: .* on {taken[1]}",
    ):
        assert re.search(sentence, done.text), done.text
    assert f"r{number}-" not in as_root("iptables-save").out
    assert not list((tmp_path / "lab").glob("machines/*"))
    assert bridges() and rules(), "the lab itself is untouched"
