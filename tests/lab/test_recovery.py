"""What comes back by itself: the volume's client, a brick, glusterd; and what is left alone."""

import time

import pytest

from fabfile.engine.resources import Directory
from fabfile.tiers.app.checks.browser import png
from fabfile.tiers.app.volume import MOUNT
from fabfile.tiers.storage.mounting import whole as reaches_each_brick
from tests.lab.commands import wait_for
from tests.lab.scaled import statuses
from tests.lab.test_failures import MAIN_PID
from tests.lab.traffic import traffic

CLIENT = "^/usr/sbin/glusterfs .*/mnt/nas"
INSIDE = "nsenter -m -t $(systemctl show -P MainPID crm) runuser -u crm -- sh -c"
WHOLE = reaches_each_brick(MOUNT)
WRITE = f"{INSIDE} 'echo x > /srv/crm/uploads/.lost && rm /srv/crm/uploads/.lost && echo written'"


@pytest.fixture(autouse=True)
def whole(repaired):
    """End each test with an application that answers from every server."""
    yield
    await_all_up(repaired)


def await_all_up(lab):
    """Wait until the balancer sees every app server up."""
    wait_for("all servers up", lambda: set(statuses(lab).values()) == {"UP"})


def assert_nothing_on_the_local_disk(lab, name):
    """Look below the mount, and where the application has the volume in its own view."""
    lab.do(
        name,
        "mkdir -p /run/below && mount --bind / /run/below\n"
        "found=$(find /run/below/mnt/nas /run/below/srv/crm/uploads -mindepth 1 || echo failed)\n"
        'umount /run/below && [ -z "$found" ]',
    )


def test_a_lost_mount_stops_writing_instead_of_hiding_it_on_the_local_disk(repaired):
    # The volume's client is killed under the running application, with nobody who repairs it.
    repaired.do("s3", f"systemctl stop mnt-nas-watch && pkill -KILL -f '{CLIENT}'")
    assert "Transport endpoint is not connected" in repaired.do("s3", f"{WRITE} 2>&1", code=None)
    wait_for("lb to see that s3 is not healthy", lambda: "DOWN" in statuses(repaired)["s3"])
    assert ("s3", "restart mnt-nas.mount") in repaired.planned()
    assert_nothing_on_the_local_disk(repaired, "s3")
    repaired.fab("deploy")
    wait_for("s3 to be back", lambda: statuses(repaired)["s3"] == "UP")
    assert repaired.do("s3", "mountpoint -q /mnt/nas && ls /mnt/nas") == "crm\n"
    assert repaired.do("s3", "systemctl is-active mnt-nas-watch") == "active\n"


@pytest.mark.parametrize("signal", ["KILL", "TERM"])
def test_a_lost_mount_comes_back_by_itself(repaired, signal):
    for _ in range(2):
        before = repaired.do("s3", MAIN_PID)
        repaired.do("s3", f"pkill -{signal} -f '{CLIENT}'")
        # The application holds on to the lost one: it is restarted behind the mount.
        wait_for("crm to be restarted", lambda: repaired.do("s3", MAIN_PID) != before)  # noqa: B023
        wait_for("s3 to write", lambda: repaired.do("s3", WRITE) == "written\n")
        assert_nothing_on_the_local_disk(repaired, "s3")
    await_all_up(repaired)
    assert repaired.do("s3", "systemctl --failed --no-legend") == ""
    repaired.assert_nothing_to_do()


def test_a_mount_that_is_stopped_on_purpose_stays_so(repaired):
    repaired.do("s3", "systemctl stop crm mnt-nas.mount")
    try:
        assert repaired.do("s3", "systemctl is-active mnt-nas-watch", code=3) == "inactive\n"
        assert repaired.do("s3", "mountpoint -q /mnt/nas || echo no") == "no\n"
    finally:
        repaired.do("s3", "systemctl start crm")
    assert repaired.do("s3", "systemctl is-active mnt-nas-watch") == "active\n"


BRICK = "cat /run/gluster/vols/nas/*.pid"
BRICK_RUNS = f'kill -0 "$({BRICK})"'


def test_bricks_that_die_are_started_again_on_several_servers_at_once(repaired):
    names = ("nas2", "nas3")
    before = {name: repaired.do(name, BRICK) for name in names}
    for name in names:
        repaired.do(name, "pkill -KILL -x glusterfsd")
    for name in names:
        again = f"{BRICK} && {BRICK_RUNS}"
        wait_for(f"the brick of {name}", lambda: repaired.do(name, again) != before[name])  # noqa: B023
        assert repaired.do(name, "systemctl --failed --no-legend") == ""
    repaired.await_healed()
    await_all_up(repaired)
    repaired.assert_nothing_to_do()


def assert_served_without_photos(lab, person):
    """See that pages which need no photo are answered, and a photo is refused in a sentence."""
    wait_for("all servers to be out", lambda: not {"UP"} & {*statuses(lab).values()}, 20)
    served = set()

    def all_serve():
        page = person.get("/customers")
        assert page.status_code == 200, page.text
        served.add(page.headers["X-Served-By"])
        return served == {*lab.apps} or served

    wait_for("all servers to serve by their first page", lambda: all_serve() is True, 20)
    for _ in lab.apps:
        begin = time.monotonic()
        answer = person.upload(png())
        assert answer.status_code == 503 and "Photos cannot be stored" in answer.text, answer.text
        assert time.monotonic() - begin < 2


def test_a_volume_that_most_storage_servers_miss_has_deploy_restart_no_app_server(repaired):
    pids, person = [repaired.do(name, MAIN_PID) for name in repaired.apps], repaired.person()
    for name in ("nas2", "nas3"):
        repaired.do(name, "systemctl stop glusterd")
    try:
        wait_for("health to miss the volume", lambda: repaired.get("health").status_code == 503)
        assert_served_without_photos(repaired, person)
        planned = repaired.planned()
        assert {("nas2", "start glusterd.service"), ("nas3", "start glusterd.service")} < {*planned}
        assert not [action for _, action in planned if action.startswith("restart")], planned
        repaired.fab("deploy", limit=180)
    finally:
        for name in ("nas2", "nas3"):
            repaired.do(name, "systemctl start glusterd")
    repaired.await_healed()
    assert [repaired.do(name, MAIN_PID) for name in repaired.apps] == pids


def test_a_mount_tells_whether_it_reaches_each_brick(repaired):
    # A directory that is missing on the volume is not made before it does.
    third = repaired.address("nas2", "lan4")
    repaired.do("s1", WHOLE)
    repaired.do("s1", f"ip route add blackhole {third}")
    try:
        missed = f"! {{ {WHOLE}; }}"
        wait_for("the mount to miss nas2", lambda: repaired.do("s1", missed) == "", 30)
        made = Directory("/mnt/nas/begun", within="/mnt/nas", whole=WHOLE).plan("", set()).script
        # It looks once, and not for its time.
        once = 'await() { sh -c "$3"; }\n'
        repaired.do("s1", once + made, code=1)
        assert repaired.do("nas1", "[ -e /nas/brick/begun ] || echo no") == "no\n"
    finally:
        repaired.do("s1", f"ip route del blackhole {third}")
    wait_for("the mount to reach nas2", lambda: repaired.do("s1", WHOLE) == "", 30)
    repaired.do("s1", f"{once}{made}\nrmdir /mnt/nas/begun")


def test_glusterd_that_dies_is_started_again_with_its_brick(repaired):
    before = repaired.do("nas2", BRICK)
    repaired.do("nas2", "pkill -KILL -x glusterd")
    again = f"systemctl is-active glusterd glusterd-watch && {BRICK_RUNS} && {BRICK}"
    wait_for("glusterd and its brick", lambda: before not in repaired.do("nas2", again))
    repaired.await_healed()


def test_a_storage_server_in_maintenance_is_left_alone(repaired):
    repaired.do("nas3", "systemctl stop glusterd")
    try:
        units = "systemctl is-active glusterd glusterd-watch"
        assert repaired.do("nas3", units, code=3) == "inactive\ninactive\n"
    finally:
        repaired.do("nas3", "systemctl start glusterd")
    repaired.await_healed()
    # Of a volume that is stopped, no brick is missing.
    pid = repaired.do("nas3", "systemctl show -P MainPID glusterd")
    repaired.do("nas1", "gluster --mode=script volume stop nas")
    try:
        watch = "pgrep -f -P $(systemctl show -P MainPID glusterd-watch) '^sleep 1$'"
        wait_for("the watch to have looked", lambda: repaired.do("nas3", watch))
        assert repaired.do("nas3", "systemctl show -P MainPID glusterd") == pid
        brick = r"pgrep -f '^/usr/sbin/glusterfsd .*--volfile-id nas\.'"
        assert repaired.do("nas3", brick, code=1) == ""
    finally:
        repaired.do("nas1", "gluster --mode=script volume start nas")
    repaired.await_healed()


def test_a_storage_server_that_falls_silent_costs_no_request(repaired):
    with traffic(repaired.scenario, writers=2) as running:
        repaired.do("nas1", "ip link set lan4 down")
        try:
            # All access freezes until GlusterFS goes on without it.
            touch = "touch /mnt/nas/.test-silent && rm /mnt/nas/.test-silent"
            for name in repaired.apps:
                repaired.do(name, touch, limit=30)
            repaired.await_answer()
        finally:
            repaired.do("nas1", "ip link set lan4 up")
        repaired.await_healed()
    report = running.report
    print(f"a silent storage server: {report}")
    assert report.written > 0
    assert (report.errors, report.lost) == ([], [])
