"""Processes beside the web process: one on every server, and one that runs on a single one."""

import time

import pytest

from tests.lab import other_applications
from tests.lab.commands import wait_for

pytestmark = pytest.mark.installs_packages

APPS = ("s1", "s2", "s3")
NAME = "node-sample"
UNIT = f"{NAME}@scheduler.service"
TAKEN_OVER = 30


@pytest.fixture(scope="module")
def config(node_sample):
    return node_sample


def beating(lab, process, seconds=2):
    """Return the servers whose process has written to the database of late."""
    found = lab.sql(
        f"SELECT DISTINCT server FROM beats WHERE name = '{process}' "
        f"AND at > clock_timestamp() - interval '{seconds} s'",
        "node_sample",
    )
    return {*found.splitlines()}


def holder(lab):
    """Return the server that runs the scheduler, once it is one."""
    wait_for("a scheduler", lambda: beating(lab, "scheduler"), TAKEN_OVER)
    (name,) = beating(lab, "scheduler")
    return name


def alternations(lab):
    """Return how often the scheduler's notes went from one server to another, since ever."""
    return int(
        lab.sql(
            "SELECT count(*) FROM (SELECT server <> lag(server) OVER (ORDER BY at) AS other "
            "FROM beats WHERE name = 'scheduler') AS turns WHERE other",
            "node_sample",
        )
    )


def runs(lab, name):
    return "beat scheduler" in lab.do(name, "pgrep -a -u node-sample node || :")


def assert_taken_over(lab, old, since, turns):
    wait_for("another scheduler", lambda: beating(lab, "scheduler") - {old}, TAKEN_OVER)
    took = time.monotonic() - since
    assert took < TAKEN_OVER, took
    # From the old one to the new one, once: they never ran side by side.
    assert alternations(lab) == turns + 1
    print(f"another server took over after {took:.1f} s")


def test_the_worker_runs_on_every_server_and_the_scheduler_on_one(lab, config):
    wait_for("all workers", lambda: beating(lab, "worker") == set(APPS))
    name = holder(lab)
    assert [runs(lab, each) for each in APPS].count(True) == 1
    done = lab.invoke("verify", limit=120, config=config, code=None)
    assert f"scheduler runs on exactly one server (runs on {name})" in done.out
    assert "FALSE" not in done.out, done.out
    status = lab.invoke("status", config=config).out
    assert status.count("scheduler: runs here") == 1
    assert status.count("scheduler: stands by") == len(APPS) - 1
    assert status.count(f"{NAME}@worker") == len(APPS)


def test_a_server_without_the_database_stops_it_and_another_takes_over(lab, config):
    name, turns = holder(lab), alternations(lab)
    # Not a word of the server's reaches the database any more, as of one without power.
    way = f"blackhole {lab.address('bbdd', 'lan4')}"
    lab.do(name, f"ip route add {way}")
    try:
        since = time.monotonic()
        wait_for("the old one to be gone", lambda: not runs(lab, name), 9)
        # Before the new one starts.
        assert not beating(lab, "scheduler") - {name}
        assert_taken_over(lab, name, since, turns)
    finally:
        lab.do(name, f"ip route del {way}")
    wait_for("it to stand by", lambda: "stands by" in state(lab, name))
    assert len(beating(lab, "scheduler")) == 1


def state(lab, name):
    return lab.do(name, f"systemctl show -P StatusText {UNIT}")


@pytest.mark.parametrize("what", ["node.*scheduler", "only-one", "psql"])
def test_whatever_of_it_is_killed_never_two_run(lab, config, what):
    name, turns = holder(lab), alternations(lab)
    since = time.monotonic()
    lab.do(name, f"pkill -KILL -u {NAME} -f {what}")
    wait_for("the old one to be gone", lambda: not runs(lab, name), 3)
    wait_for("a scheduler", lambda: any(runs(lab, each) for each in APPS), TAKEN_OVER)
    wait_for("its notes", lambda: beating(lab, "scheduler"), TAKEN_OVER)
    assert time.monotonic() - since < TAKEN_OVER
    assert alternations(lab) <= turns + 1


def test_stopped_it_ends_in_good_order_and_with_the_web_process(lab, config):
    name, turns = holder(lab), alternations(lab)
    since = time.monotonic()
    lab.do(name, f"systemctl stop {NAME}")
    try:
        wait_for("all of it to end", lambda: not lab.do(name, f"pgrep -u {NAME} || :"))
        assert "scheduler ends in good order" in lab.do(name, f"journalctl -q -n 20 -u {UNIT}")
        assert lab.do(name, f"systemctl is-active {UNIT} || :") == "inactive\n"
        assert_taken_over(lab, name, since, turns)
    finally:
        lab.do(name, f"systemctl start {NAME}")
    wait_for("all workers", lambda: beating(lab, "worker") == set(APPS))


def test_a_database_that_restarts_is_no_reason_for_two(lab, config):
    holder(lab)
    turns = alternations(lab)
    lab.do("bbdd", "systemctl restart postgresql@*-main.service")
    wait_for("no scheduler", lambda: not any(runs(lab, each) for each in APPS), 10)
    wait_for("a scheduler", lambda: beating(lab, "scheduler"), TAKEN_OVER)
    assert alternations(lab) <= turns + 1


def test_a_process_that_does_not_stay_puts_the_canary_back(lab, config, tmp_path):
    sample = other_applications.NODE_SAMPLE
    broken = {"worker": {"start": "node app.js beat worker; false"}, "new": {"start": "exit 3"}}
    path = tmp_path / "config.py"
    changed = {**sample, "processes": broken, "exclude": ["nothing"], "memory": 201}
    other_applications.configuration(lab, NAME, changed, path)
    done = lab.fab("deploy", limit=300, config=path, code=1)
    assert f"{NAME}@new.service" in done.text
    assert "s1 was put back on release" in done.text
    wait_for("all workers", lambda: beating(lab, "worker") == set(APPS))
    assert [runs(lab, each) for each in APPS].count(True) <= 1
    assert lab.do("s1", f"ls /etc/systemd/system/{NAME}@new.service || :") == ""
    lab.fab("deploy", config=config)
    assert "0 changes" in lab.fab("deploy", config=config).out


def test_a_process_that_is_no_more_is_removed_and_comes_back(lab, config, tmp_path):
    sample, path = other_applications.NODE_SAMPLE, tmp_path / "config.py"
    fewer = {**sample, "processes": {"worker": sample["processes"]["worker"]}}
    other_applications.configuration(lab, NAME, fewer, path)
    lab.fab("deploy", config=path)
    assert "0 changes" in lab.fab("deploy", config=path).out
    for name in APPS:
        assert not runs(lab, name)
        assert lab.do(name, "ls -d /etc/systemd/system/*.wants/*@scheduler* || :") == ""
    lab.fab("deploy", config=config)
    holder(lab)


def test_a_restart_renews_all_processes_and_logs_show_them(lab, config):
    units = f"{NAME} {NAME}@worker {NAME}@scheduler"
    main = f"for unit in {units}; do systemctl show -P MainPID $unit; done"
    before = {name: lab.do(name, main).split() for name in APPS}
    lab.fab("app.restart", config=config)
    for name in APPS:
        after = lab.do(name, main).split()
        assert all(new not in ("0", old) for old, new in zip(before[name], after, strict=True))
    holder(lab)
    said = lab.fab("app.logs", "--lines", "200", config=config).out
    assert f"{NAME}@worker" in said and "worker begins" in said
    assert "scheduler begins" in said


def test_a_web_process_that_dies_leaves_the_others_alone(lab, config):
    worker = f"systemctl show -P MainPID {NAME}@worker"
    before = lab.do("s2", worker)
    old = lab.do("s2", f"systemctl kill -s KILL {NAME}; systemctl show -P NRestarts {NAME}")
    wait_for(
        "another web process",
        lambda: lab.do("s2", f"systemctl show -P NRestarts {NAME}") != old,
    )
    assert lab.do("s2", worker) == before
