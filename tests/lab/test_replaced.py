"""An empty machine in the place of one that was lost: deploy makes it what that was."""

import pytest

from tests.lab.commands import wait_for
from tests.lab.scaled import unnoticed
from tests.lab.traffic import traffic

pytestmark = [pytest.mark.takes_the_lab_away, pytest.mark.usefixtures("repaired")]

STORAGE = ("nas1", "nas2", "nas3")
FILES = 100
WRITE = f"""
cd /mnt/nas/crm
for n in $(seq {FILES}); do echo "$n of {FILES}" >"kept-$n"; done
chown crm:crm kept-*
"""
# Names and contents of what a brick holds, but for what users write meanwhile.
HELD = """
cd /nas/brick/crm
find . -name 'kept-*' -print0 | sort -z | xargs -0 sha256sum | sha256sum
find . -name 'kept-*' | wc -l
"""


@pytest.fixture(scope="module")
def written(lab):
    """Have files on the volume."""
    lab.do("s1", WRITE)
    yield
    lab.do("s1", "rm /mnt/nas/crm/kept-*")


def come_back(lab, *names):
    """Deploy, and see that the servers are members again and hold what the others do."""
    planned = [action for machine, action in lab.planned() if machine in names]
    left = ", ".join(name for name in STORAGE if name not in names)
    assert planned.count(f"be again the member of the pool that {left} remember") == len(names)
    # That would be another volume.
    assert not {"create the volume nas", "join the storage servers"} & {*planned}
    done = lab.fab("deploy")
    for volume in ("nas", "backup"):
        copied = f"the other servers copy to it what they hold of {volume}:"
        assert done.out.count(copied) == len(names), done.text
    await_same(lab)


def await_same(lab):
    """Wait until each server holds all that was written before."""

    def same():
        held = {lab.do(name, HELD) for name in STORAGE}
        return len(held) == 1 and int(held.pop().split()[-1]) == FILES

    wait_for("all bricks to hold the same", same, 400)


def test_the_first_storage_server_is_replaced_and_no_user_notices(lab, written):
    with unnoticed("nas1 is replaced"):
        lab.replace("nas1")
        come_back(lab, "nas1")
    lab.await_healed(300)
    lab.assert_nothing_to_do()


def test_two_storage_servers_come_back_from_the_third(lab, written):
    lab.replace("nas1", "nas3")
    come_back(lab, "nas1", "nas3")
    lab.await_healed(300)
    lab.assert_nothing_to_do()


def test_the_disk_of_a_brick_is_replaced_and_no_user_notices(lab, written):
    with unnoticed("a disk is replaced"):
        lab.do(
            "nas2",
            "systemctl stop 'glusterd-watch*'; pkill -KILL -x glusterfsd; rm -rf /nas/brick*",
        )
        done = lab.fab("deploy")
        for volume in ("nas", "backup"):
            assert f"take the brick into the volume {volume}" in done.out, done.text
        await_same(lab)
    lab.await_healed(300)
    lab.assert_nothing_to_do()


def test_an_app_server_is_replaced_and_hardly_a_user_notices(lab):
    with traffic(lab.scenario) as running:
        lab.replace("s2")
        lab.fab("deploy")
        wait_for("s2 to serve", lambda: "s2" in {lab.served() for _ in range(6)})
    report = running.report
    print(f"\ns2 is replaced: {report}")
    assert report.written and not report.lost and not report.errors_after, report
    # What its writer had under way there when it died is not sent again: it may have been done.
    assert [(kind, what) for kind, what, *_ in report.errors] in ([], [("write", "502")]), report
    lab.assert_nothing_to_do()


@pytest.mark.parametrize("name", ["lb", "fw"])
def test_a_machine_that_all_users_come_by_is_replaced(lab, name):
    with traffic(lab.scenario) as running:
        lab.replace(name)
        lab.fab("deploy")
        lab.await_answer()
    report = running.report
    print(f"\n{name} is replaced: {report}")
    assert report.written and not report.lost and not report.errors_after, report
    lab.assert_nothing_to_do()
