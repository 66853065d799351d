"""A deployment that is cut short at any moment: the next one finishes, and leaves no rests."""

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from fabfile.tiers.app import release
from tests.lab import places
from tests.lab.commands import wait_for
from tests.lab.lab import BIN
from tests.lab.stopped import cut

RESTS = """
ls -A /var/lib/crm-deployer | grep -vx -e lock -e operation -e pending -e previous || :
ls -A /var/lib/crm-deployer/pending
find /etc /var/lib/crm-deployer -name '*.new'
[ ! -d /srv ] || find /srv -maxdepth 3 -name '*.new'
"""
number = count(1)


def change_application():
    """Bring about a new release."""
    file = places.APPLICATION / "application" / "note.txt"
    file.write_text(f"{next(number)} of {os.getpid()} at {time.time()}\n")
    release.made.cache_clear()


def change(lab):
    """Bring about work at every stage: another application, and edits by hand everywhere."""
    change_application()
    lab.do("lb", "echo '# by hand' >> /etc/haproxy/haproxy.cfg")
    lab.do("fw", "iptables -I FORWARD -j DROP")
    lab.do("bbdd", "echo '# by hand' | tee -a /etc/postgresql/*/main/conf.d/crm.conf")
    lab.do("s2", "rm /etc/crm-deployer/crm.env")


def finish(lab):
    """Deploy once more, and see that all is new and nothing is left of what was cut."""
    lab.fab("deploy")
    lab.assert_nothing_to_do()
    identifier = release.identifier(lab.scenario)
    for name in lab.apps:
        running = lab.do(name, "readlink /proc/$(systemctl show -P MainPID crm)/cwd")
        assert running == f"/srv/crm/releases/{identifier}\n", f"{name} runs the old release"
    for name in ("fw", "lb", "bbdd", "nas1", *lab.apps):
        assert lab.do(name, RESTS) == "", f"rests on {name}"
    assert "by hand" not in lab.do("bbdd", "cat /etc/postgresql/*/main/conf.d/crm.conf")
    lab.await_answer()


@pytest.mark.parametrize(
    "step", ["fw load the firewall rules", "s1 restart crm.service", "lb reload haproxy.service"]
)
def test_a_killed_deployment_is_finished_by_the_next(repaired, step):
    change(repaired)
    assert cut(repaired, "fab", "deploy", at=step) == -signal.SIGKILL
    finish(repaired)


def test_rules_that_a_killed_deployment_left_on_trial_are_loaded_again(repaired):
    # They look as they should for a while, and undo themselves then.
    repaired.do("fw", "iptables -I FORWARD -j DROP")
    step = "load the firewall rules"
    assert cut(repaired, "fab", "deploy", at=f"fw confirms {step}") == -signal.SIGKILL
    assert ("fw", step) in repaired.planned()
    undone = "[ ! -e /run/fw-refused ] || systemctl show -P ActiveState fw-back.service"
    wait_for("the trial to end", lambda: repaired.do("fw", undone) == "inactive\n", 40)
    finish(repaired)


def test_rules_on_trial_are_loaded_again_before_they_undo_themselves(repaired):
    repaired.do("fw", "iptables -I FORWARD -j DROP")
    cut(repaired, "fab", "deploy", at="fw confirms load the firewall rules")
    finish(repaired)


def test_ctrl_c_ends_a_deployment_at_once_and_the_next_finishes_it(repaired):
    change(repaired)
    assert cut(repaired, "fab", "deploy", at="s2 restart crm.service", by=signal.SIGINT) == 130
    finish(repaired)


def test_a_deployment_cut_again_and_again_is_finished_at_last(repaired):
    change(repaired)
    # Where the database is just being restarted, it is looked again whether to migrate it.
    for step in ("s1 connect", "s1 build /srv/crm/releases", "migrate the database"):
        cut(repaired, "fab", "deploy", at=step)
    finish(repaired)


def test_what_died_behind_a_written_file_is_made_up_for(repaired):
    # The moment between a new file and the restart, as a power cut of the machine leaves it.
    change(repaired)
    repaired.fab("deploy")
    repaired.do("lb", ": > /var/lib/crm-deployer/pending/reload-haproxy.service")
    repaired.do("s1", ": > /var/lib/crm-deployer/pending/restart-crm.service")
    before = repaired.do("s1", "systemctl show -P MainPID crm")
    assert sorted(repaired.planned()) == [
        ("lb", "reload haproxy.service"),
        ("lb", "wait until HAProxy sees s1, s2, s3 up"),
        ("s1", "restart crm.service"),
    ]
    finish(repaired)
    assert repaired.do("s1", "systemctl show -P MainPID crm") != before


def test_a_run_that_was_killed_while_it_waited_for_a_machine_does_nothing_there(repaired):
    lock = "/var/lib/crm-deployer/lock"
    repaired.do("lb", "echo '# by hand' >> /etc/haproxy/haproxy.cfg")
    repaired.do("lb", f"systemd-run -q --unit=holder flock {lock} sleep 300")
    waits = "pgrep -fc '^flock -w' || :"
    deployment = subprocess.Popen(
        [BIN / "fab", "deploy"], stdout=subprocess.DEVNULL, env=repaired.environment()
    )
    try:
        wait_for("the run to wait", lambda: repaired.do("lb", waits) == "1\n")
    finally:
        deployment.kill()
        deployment.wait()
        repaired.do("lb", "systemctl stop holder")
    wait_for("its rest to end", lambda: repaired.do("lb", waits) == "0\n")
    repaired.do("lb", f"flock {lock} true")
    assert repaired.do("lb", "ls -A /var/lib/crm-deployer/pending") == ""
    assert "by hand" in repaired.do("lb", "cat /etc/haproxy/haproxy.cfg")
    finish(repaired)


def test_two_deployments_at_once_do_not_disturb_each_other(repaired):
    change_application()
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: repaired.fab("deploy", code=None), range(2)))
    text = "\n".join(done.text for done in both)
    # Either may be told that the other is at work, but none fails half-way.
    assert 0 in [done.code for done in both], text
    assert "failed with exit code" not in text
    finish(repaired)
