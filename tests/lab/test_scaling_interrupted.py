"""Operations that are killed, refused, fail or meet: nothing half-done stays behind."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from fabfile.scenario import inventory_file
from tests.lab import places
from tests.lab.commands import wait_for
from tests.lab.scaled import (
    apps,
    assert_file_and_process_agree,
    restore,
    statuses,
    traces,
    unnoticed,
)
from tests.lab.stopped import await_unlocked, cut, stopped

# Steps of add-server. None needs one that stands behind it here.
STEPS = (
    "create s4",
    "start s4",
    "s4 answers SSH",
    "s4 create the user crm",
    "nas1 set auth.allow",
    "bbdd change /etc/postgresql",
    "bbdd reload postgresql",
    "s4 unpack /srv/crm/releases",
    "s4 enable and start mnt-nas.mount",
    "s4 create /etc/crm-deployer/crm.env",
    "s4 enable and start crm.service",
    "s4 note that release",
    "lb change /etc/haproxy/haproxy.cfg",
    "lb in the running HAProxy: add s4",
)


def kill_at(lab, step: str) -> None:
    """Start add-server and kill it at that step, before it has done any of those behind it."""
    behind = STEPS[STEPS.index(step) + 1 :]
    cut(lab, "invoke", "add-server", "--name", "s4", at=step, also=behind)


@pytest.fixture(autouse=True)
def three_servers(repaired):
    """Begin each test with the servers of config.py, whatever the one before has left."""
    restore(repaired)


def seen(lab) -> str:
    """Return what a refused command must leave alone."""
    inventory = inventory_file(places.STATE)
    return (
        lab.do("lb", "sha256sum /etc/haproxy/haproxy.cfg; systemctl show -P MainPID haproxy")
        + lab.do("bbdd", "sha256sum /etc/postgresql/*/main/pg_hba.conf")
        + (inventory.read_text() if inventory.exists() else "")
        + str(statuses(lab))
    )


def test_killed_at_each_step_the_next_run_goes_on(repaired):
    with unnoticed("add-server, killed at each step"):
        # What a killed run was to do next is still to be done by the one after it.
        for step in STEPS:
            kill_at(repaired, step)
    assert apps() == ["s1", "s2", "s3"]
    repaired.invoke("add-server", "--name", "s4")
    assert apps() == ["s1", "s2", "s3", "s4"] and statuses(repaired)["s4"] == "UP"
    assert_file_and_process_agree(repaired)
    repaired.invoke("remove-server", "--name", "s4")
    assert traces(repaired, "s4") == []


@pytest.mark.parametrize("step", [STEPS[1], STEPS[5], STEPS[10], STEPS[13]])
def test_what_was_added_by_half_can_be_removed(repaired, step):
    kill_at(repaired, step)
    assert traces(repaired, "s4") and apps() == ["s1", "s2", "s3"]
    repaired.invoke("remove-server", "--name", "s4")
    assert traces(repaired, "s4") == []
    assert_file_and_process_agree(repaired)


REFUSED = {
    "add-server --name s1": "The name s1 is in use",
    "add-server --name bbdd": "a machine of the tier database",
    "add-server --name S4": "not a valid host name",
    "add-server --name s4 --address lan3=10.1.3.1000": "not an IPv4 address",
    "add-server --name s4 --address lan4=192.0.2.1": "192.0.2.1 is outside lan4",
    "add-server --name s4 --address lan3={lb}": "is taken: lb has it",
    "add-server --name s4 --host deploy@{nobody}": "s4: {nobody}:22 cannot be reached",
    "remove-server --name s9": "There is no app server s9",
    "remove-server --name fw": "fw is no app server",
    "remove-server --name s1 --limit soon": "--limit is 'soon'",
    "scale --servers 0": "--servers is '0'",
    "maintenance --server s9 on": "There is no app server s9",
    "maintenance --server s1 perhaps": "it must be on or off",
    "app.rollback --to 0123": "No server keeps a release '0123'",
    "deploy --batch 0": "--batch is '0'",
}


@pytest.mark.parametrize("command", REFUSED)
def test_a_refusal_is_a_sentence_and_changes_nothing(repaired, command):
    names = {
        "lb": repaired.address("lb", "lan3"),
        "nobody": str(repaired.scenario.networks["management"].broadcast_address - 4),
    }
    before = seen(repaired)
    done = repaired.invoke(*command.format(**names).split(), code=1)
    assert REFUSED[command].format(**names) in done.err, done.text
    assert "Traceback" not in done.text
    assert seen(repaired) == before


def test_the_only_healthy_server_stays(repaired):
    try:
        for name in ("s2", "s3"):
            repaired.do(name, "systemctl stop crm")
        others = ("s2", "s3")
        wait_for("two to be down", lambda: {statuses(repaired)[n] for n in others} == {"DOWN"})
        before = seen(repaired)
        for words in (["remove-server", "--name", "s1"], ["maintenance", "--server", "s1", "on"]):
            done = repaired.invoke(*words, code=1)
            assert "No app server but s1 is healthy" in done.err and "--force" in done.err
        assert seen(repaired) == before
    finally:
        for name in ("s2", "s3"):
            repaired.do(name, "systemctl start crm")
    wait_for("all servers up", lambda: {*statuses(repaired).values()} == {"UP"})


def test_a_release_that_fails_stops_at_the_canary(repaired):
    wsgi = places.APPLICATION / "wsgi.py"
    good = wsgi.read_text()
    current = "readlink /srv/crm/current; systemctl show -P MainPID crm"
    before = {name: repaired.do(name, current) for name in repaired.apps}
    wsgi.write_text(f"raise RuntimeError('broken on purpose')\n{good}")
    try:
        with unnoticed("a canary that fails"):
            done = repaired.fab("deploy", code=1)
    finally:
        wsgi.write_text(good)
    assert "RuntimeError: broken on purpose" in done.err, done.text
    assert "s1 was put back on release" in done.err
    after = {name: repaired.do(name, current) for name in repaired.apps}
    assert after["s2"] == before["s2"] and after["s3"] == before["s3"]
    assert after["s1"].split()[0] == before["s1"].split()[0]
    assert statuses(repaired)["s1"] == "UP"
    # It was told to go on with the old release, so there is nothing to repair.
    assert repaired.planned() == []


def test_a_second_operation_is_refused_and_a_killed_one_holds_nobody_up(repaired):
    with stopped(repaired, "fab", "app.restart", at="s1 restart crm.service") as first:
        done = repaired.fab("deploy", code=1)
        holder = re.search(
            r"is being changed \((\S+@\S+: app\.restart), since (\S+ \S+)\)", done.err
        )
        assert holder and "Nothing was changed" in done.err, done.text
        first.cut()
        await_unlocked(repaired)
        # It was drained when its deployer died: deploy gives it clients again.
        done = repaired.fab("deploy")
    assert {*statuses(repaired).values()} == {"UP"}, done.text
    assert_file_and_process_agree(repaired)


def test_the_second_can_wait_for_the_first(repaired):
    words = ("fab", "app.restart", "--batch", "2")
    with stopped(repaired, *words, at="s1 drain s1") as first, ThreadPoolExecutor(1) as pool:
        second = pool.submit(repaired.fab, "deploy", "--wait", limit=180)
        waits = "pgrep -xfc 'flock 9' || :"
        wait_for("the second to wait", lambda: repaired.do("lb", waits) == "1\n", 60)
        assert first.go_on() == 0, first.text
        done = second.result()
    assert "waiting" in done.out and "0 changes" in done.out


def test_old_releases_go_but_never_the_one_that_runs(repaired):
    runs = repaired.do("s1", "basename $(readlink /srv/crm/current)").strip()
    fakes = [f"release{number}" for number in range(1, 8)]
    script = "cd /srv/crm\n" + "\n".join(
        f"mkdir releases/{name}; echo 2001-01-0{number}T00:00:00Z {name} >>history"
        for number, name in enumerate(fakes, 1)
    )
    repaired.do("s1", script)
    repaired.fab("deploy")
    left = repaired.do("s1", "ls /srv/crm/releases").split()
    assert runs in left and len(left) == 5, left
    assert sorted(set(left) - {runs}) == fakes[-4:]
    repaired.do("s1", "cd /srv/crm && sed -i /release/d history && rm -r releases/release*")
    assert (places.APPLICATION / "wsgi.py").is_file()
