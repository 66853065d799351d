"""Everything comes back after a reboot, of any machine and of all at once, with no help."""

import pytest

from tests.lab.commands import wait_for

BOOT = "cut -d ' ' -f 22 /proc/1/stat"
SECONDS = 180


def await_healthy(lab):
    """Wait, and do nothing else, until all is as after a deployment, and the users are served."""
    lab.await_answer(SECONDS)
    wait_for("a plan without changes", lambda: lab.fab("plan").code == 0, SECONDS)
    lab.await_healed()
    wait_for(
        "every app server to answer users",
        lambda: {lab.get("health").headers.get("X-Served-By") for _ in range(9)} == set(lab.apps),
    )


@pytest.fixture(scope="module")
def file(repaired):
    """Write a file that must be there after every reboot, on the volume."""
    path = "/mnt/nas/.test-reboots"
    repaired.do("s2", f"echo kept > {path}")
    yield path
    repaired.do("s2", f"rm {path}")


@pytest.mark.parametrize("name", ["fw", "lb", "s1", "bbdd", "nas1"])
def test_a_machine_of_each_tier_is_rebooted(repaired, file, name):
    before = repaired.do(name, BOOT)
    repaired.do(name, "systemctl reboot", code=None)
    wait_for(f"{name} to boot", lambda: repaired.do(name, BOOT) != before, SECONDS)
    await_healthy(repaired)
    assert repaired.do("s1", f"cat {file}") == "kept\n"
    assert repaired.do(name, "systemctl --failed --no-legend --plain") == ""


def test_the_firewall_was_loaded_before_the_network(repaired):
    properties = (
        ("fw.service", "ActiveEnterTimestampMonotonic"),
        ("systemd-networkd.service", "ExecMainStartTimestampMonotonic"),
    )
    loaded, network = (
        int(repaired.do("fw", f"systemctl show -P {when} {unit}")) for unit, when in properties
    )
    assert 0 < loaded < network


def test_all_machines_are_rebooted_at_once(repaired, file):
    before = {name: repaired.do(name, BOOT) for name in repaired.names}
    for name in repaired.names:
        repaired.do(name, "systemctl reboot", code=None)
    for name in repaired.names:
        wait_for(f"{name} to boot", lambda: repaired.do(name, BOOT) != before[name], SECONDS)  # noqa: B023
    await_healthy(repaired)
    assert repaired.do("s1", f"cat {file}") == "kept\n"


def test_a_power_cut_takes_all_machines_at_once(repaired, file):
    names = ",".join(repaired.names)
    repaired.invoke("lab.stop", names, "--kill")
    states = repaired.invoke("lab.status").out
    assert states.count("stopped") == len(repaired.names)
    repaired.invoke("lab.start", names)
    await_healthy(repaired)
    assert repaired.do("s1", f"cat {file}") == "kept\n"


def test_machines_are_shut_down_in_order_and_started_again(repaired, file):
    done = repaired.invoke("lab.stop", "s3,lb")
    assert done.out.count("is stopped") == 2
    assert repaired.invoke("lab.status").out.count("stopped") == 2
    repaired.invoke("lab.start", "s3,lb")
    await_healthy(repaired)
