"""Backups: the database comes back to any second, and no machine's death stops them."""

import re
import time
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest

from fabfile.tiers.app.volume import MOUNT
from fabfile.tiers.database import restoring
from fabfile.tiers.storage.mounting import whole
from tests.lab import places
from tests.lab.backups import (
    COUNT,
    STORAGE,
    add,
    at_it,
    between,
    kept,
    last_backup,
    pending,
    rows,
    seen,
)
from tests.lab.commands import wait_for

pytestmark = pytest.mark.usefixtures("repaired")

UPLOADS = "/mnt/nas/crm"
LOST = f"{'ab' * 32}.png"
DATA = "/var/lib/postgresql/*/main"


def test_the_first_deploy_ends_with_a_backup(lab):
    assert "full" in lab.invoke("backup.list").out
    sees = lab.invoke("status").out
    assert "backups of the database: last" in sees and "kept until: " in sees


def test_a_table_dropped_at_a_known_second_comes_back_to_the_second_before(lab):
    add(lab, "before")
    lab.do("s1", f"cd {UPLOADS}; for n in 1 2; do echo $n >'kept [*] '$n; done")
    lab.invoke("backup.now")
    lab.sql(f"INSERT INTO customers (name, photo) VALUES ('Eve', '{LOST}')", "crm")
    count, second = rows(lab), between(lab)
    add(lab, "after")
    lab.do("s2", f"cd {UPLOADS}; rm kept*1; echo changed >'kept [*] 2'")
    lab.sql("DROP TABLE customers CASCADE", "crm")
    assert rows(lab) is None
    begin = time.monotonic()
    # A first snapshot of many uploads takes for ever, or a first copy of it to the second place.
    with at_it(lab, "uploads"):
        done = lab.invoke("backup.restore", "--to", second, "--yes", limit=120)
    print(f"\nthe table is back after {time.monotonic() - begin:.1f} s")
    assert "the database is as of" in done.out
    assert rows(lab) == count
    # A file that was deleted is back, and one that is there is as it was.
    assert lab.do("s3", f"cd {UPLOADS}; cat kept*1 kept*2; rm kept*") == "1\nchanged\n"
    assert "1 uploads brought back" in done.out, done.out
    # A row whose photo no backup has is named.
    for missed in (done, lab.invoke("backup.missing", code=1)):
        assert f"(Eve): {LOST}" in missed.out and "1 upload missing" in missed.text, missed.text
    lab.sql("DELETE FROM customers WHERE name = 'Eve'", "crm")
    assert "no upload is missing" in lab.invoke("backup.missing").out
    lab.await_answer()
    lab.assert_nothing_to_do()
    # What it was to become is a time like any other, and nothing is left of the way there.
    for setting in ("restore_command", "recovery_target_time"):
        assert lab.sql(f"SHOW {setting}") == ""
    assert kept(lab)["ok"]
    lab.sql("DELETE FROM customers WHERE name = 'before'", "crm")


def test_it_goes_back_twice(lab):
    add(lab, "first")
    second = between(lab)
    for name in ("second", "third"):
        add(lab, name)
        lab.invoke("backup.restore", "--to", second, "--yes", limit=120)
        names = lab.sql("SELECT name FROM customers ORDER BY id DESC LIMIT 1", "crm")
        assert names == "first"
    lab.sql("DELETE FROM customers WHERE name = 'first'", "crm")


def test_it_goes_back_and_what_was_replaced_can_be_had_again(lab):
    def last():
        return lab.sql("SELECT name FROM customers ORDER BY id DESC LIMIT 1", "crm")

    add(lab, "one")
    first = between(lab)
    add(lab, "two")
    lab.invoke("backup.now")
    second = between(lab)
    for second_or_first, name in ((first, "one"), (second, "two"), (first, "one")):
        lab.invoke("backup.restore", "--to", second_or_first, "--yes", limit=120)
        assert last() == name
    lab.sql("DELETE FROM customers WHERE name IN ('one', 'two')", "crm")


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("noon", "--to is 'noon', it must be a time"),
        ("tomorrow", "is in the future"),
        ("2020-01-01 00:00:00", "is before the first backup"),
        ("last backup", "say --yes"),
    ],
)
def test_what_cannot_be_is_refused(lab, to, said):
    if to == "last backup":
        # Of the second in which it was made, some is not in it.
        to = str(datetime.fromisoformat(last_backup(lab)) + timedelta(seconds=1))
    elif to == "tomorrow":
        to = str(datetime.now() + timedelta(days=1))
    done = lab.invoke("backup.restore", "--to", to, code=1)
    assert said in done.text and "Nothing was changed." in done.text, done.text


def test_what_was_then_is_looked_at_beside_what_is(lab):
    add(lab, "then")
    lab.do("s1", f"echo then >{UPLOADS}/then")
    lab.invoke("backup.now")
    second = between(lab)
    lab.sql("DELETE FROM customers WHERE name = 'then'", "crm")
    lab.do("s1", f"rm {UPLOADS}/then")
    count = rows(lab)
    done = lab.invoke("backup.restore", "--to", second, "--into", "look", limit=180)
    assert rows(lab) == count
    assert int(lab.sql(COUNT, "look")) == count + 1
    (server,) = re.findall(r"on (nas\d): uploads in /mnt/backup/look", done.out)
    assert lab.do(server, "cat /mnt/backup/look/crm/then") == "then\n"
    again = lab.invoke("backup.restore", "--into", "look", code=1)
    assert "/mnt/backup/look is there already" in again.err, again.text
    assert "is a database that is used" in lab.invoke("backup.restore", "--into", "crm", code=1).err
    lab.sql("DROP DATABASE look")
    lab.do(server, "rm -r /mnt/backup/look")
    assert lab.do("bbdd", "ls -d /var/lib/postgresql/scratch 2>/dev/null || :") == ""


def compared(lab):
    """Return what `verify` says of the last comparison."""
    name = "backups: what is kept is what was written"
    return seen(lab, name)


def test_what_the_backups_hold_is_compared_with_what_there_is(lab):
    done = lab.invoke("backup.check", limit=180)
    assert "are the same in the backups" in done.out and "snapshots" in done.out, done.text
    assert compared(lab)["ok"]
    # Of such a table, PostgreSQL's log and its backups have no rows.
    lab.sql("CREATE UNLOGGED TABLE lost AS SELECT 1 AS one", "crm")
    try:
        done = lab.invoke("backup.check", limit=180, code=1)
        assert "crm differs from its backup" in done.err and "public|lost|1|" in done.err, done.text
        check = compared(lab)
        assert not check["ok"] and "crm differs" in check["seen"], check
    finally:
        lab.sql("DROP TABLE lost", "crm")
    lab.invoke("backup.check", limit=180)
    assert compared(lab)["ok"]


def test_the_key_is_asked_for_until_it_is_exported(lab, tmp_path):
    reminder = "'invoke backup.key --to FILE' exports it"
    (places.STATE / "key.json").unlink(missing_ok=True)
    assert reminder in lab.invoke("status").out
    lab.invoke("backup.key", "--to", str(tmp_path / "key"))
    assert reminder not in lab.invoke("status").out
    again = lab.invoke("backup.key", "--to", str(tmp_path / "key"), code=1)
    assert "is there already" in again.err, again.text


@contextmanager
def without(lab, name):
    """Take a machine away as by a power cut, and bring it back behind the block."""
    lab.invoke("lab.stop", name, "--kill")
    try:
        yield
    finally:
        lab.hang_up(name)
        lab.invoke("lab.start", name)
        lab.await_healed(180)
        # Whoever has not come back to one has too few when the next one dies.
        reaches = f"{whole(MOUNT)} && echo all"
        wait_for(
            "all app servers to reach it",
            lambda: all(lab.do(each, reaches, code=None) == "all\n" for each in lab.apps),
            60,
        )


def test_the_death_of_a_storage_server_stops_no_backup(lab):
    before = last_backup(lab)
    # The one that is asked first.
    with without(lab, "nas1"):
        lab.sql("SELECT pg_create_restore_point('test'), pg_switch_wal()")
        wait_for("what was written to be kept", lambda: pending(lab) == 0, 60)
        lab.invoke("backup.now")
        assert last_backup(lab) > before
        add(lab, "while it is away")
        second = between(lab)
        lab.sql("DELETE FROM customers WHERE name = 'while it is away'", "crm")
        lab.invoke("backup.restore", "--to", second, "--yes", limit=120)
        assert "while it is away" in lab.sql("SELECT name FROM customers", "crm")
    lab.sql("DELETE FROM customers WHERE name = 'while it is away'", "crm")


def test_a_server_whose_client_of_the_volume_died_hides_nothing_on_its_own_disk(lab):
    lab.do("nas1", "systemctl stop mnt-backup-watch; umount -l /mnt/backup")
    try:
        lab.sql("SELECT pg_create_restore_point('test'), pg_switch_wal()")
        wait_for("what was written to be kept", lambda: pending(lab) == 0, 60)
        lab.do("nas1", "systemctl start backup-uploads backup-database")
        assert lab.do("nas1", "ls -A /mnt/backup") == ""
    finally:
        lab.do("nas1", "systemctl restart mnt-backup.mount; systemctl start mnt-backup-watch")


def test_backups_that_stop_are_told(lab):
    for name in STORAGE:
        lab.do(name, "systemctl stop backup-repository")
    try:
        check = kept(lab)
        assert not check["ok"] and "is not after" in check["seen"], check
        wait_for("status to tell it", lambda: "fails since" in lab.invoke("status").out, 30)
    finally:
        for name in STORAGE:
            lab.do(name, "systemctl start backup-repository")
    wait_for("what was written to be kept", lambda: kept(lab)["ok"], 120)


def test_a_database_that_is_in_no_backup_is_not_replaced(lab):
    # As after a person has put another cluster in the place of the one that is backed up.
    add(lab, "kept")
    number = lab.sql("SELECT system_identifier FROM pg_control_system()")
    change = restoring.handed_over(lab.scenario, str(int(number) + 1), restoring.Way("", "1"))
    said = lab.do("bbdd", f"say() {{ :; }}\n{change.script}", code=1)
    assert "is not the one of the backups: 'invoke backup.now --anew' backs it up" in said, said
    lab.sql("DELETE FROM customers WHERE name = 'kept'", "crm")


def test_a_restore_that_was_cut_is_no_database(lab):
    count = rows(lab)
    lab.do("bbdd", f"systemctl stop 'postgresql@*-main.service'; rm {DATA}/global/pg_control")
    refused = lab.fab("deploy", code=1)
    assert "invoke backup.restore" in refused.err, refused.text
    lab.invoke("backup.restore", "--yes", limit=180)
    assert rows(lab) == count
    lab.await_answer()
    lab.assert_nothing_to_do()


def test_the_machine_of_the_database_is_lost_and_an_empty_one_gets_it_back(lab):
    add(lab, "kept")
    lab.sql("SELECT pg_create_restore_point('test'), pg_switch_wal()")
    wait_for("what was written to be kept", lambda: pending(lab) == 0, 60)
    count = rows(lab)
    lab.replace("bbdd")
    refused = lab.fab("deploy", code=1)
    assert "invoke backup.restore" in refused.err, refused.text
    begin = time.monotonic()
    lab.invoke("backup.restore", "--yes", limit=180)
    print(f"\nthe database is back after {time.monotonic() - begin:.1f} s")
    assert rows(lab) == count
    lab.await_answer()
    lab.fab("deploy")
    lab.assert_nothing_to_do()
    lab.sql("DELETE FROM customers WHERE name = 'kept'", "crm")
