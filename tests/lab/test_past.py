"""Which times can be had: across a log that was given up, a restore that was killed, and damage."""

import re

import pytest

from fabfile.tiers.storage import backup
from tests.lab.backups import STORAGE, add, between, pending, seen
from tests.lab.commands import wait_for

pytestmark = pytest.mark.usefixtures("repaired")


def test_no_time_is_hidden_by_a_restore_that_was_killed_before_its_own_backup(lab):
    add(lab, "one")
    first = between(lab)
    add(lab, "two")
    lab.invoke("backup.now")
    lab.invoke("backup.restore", "--to", first, "--yes", limit=120)
    # As if it had been: the last one is of what was replaced.
    made = "/mnt/backup/postgresql/backup/main/latest"
    options = "--config=/etc/crm-deployer/repository.conf --stanza=main"
    expire = f"pgbackrest {options} expire --set=$(basename $(readlink -f {made}))"
    lab.do("nas1", f"cd /; runuser -u backup -- {expire}")
    add(lab, "three")
    second = between(lab)
    add(lab, "four")
    lab.invoke("backup.restore", "--to", second, "--yes", limit=120)
    names = lab.sql("SELECT name FROM customers ORDER BY id DESC LIMIT 2", "crm")
    assert names.split() == ["three", "one"]
    lab.sql("DELETE FROM customers WHERE name IN ('one', 'three')", "crm")


def test_damage_of_the_snapshots_is_told_until_they_are_read_and_whole(lab):
    name = "backups: those of the uploads are whole"
    reads = backup.read_uploads(lab.scenario)
    pack = lab.do("nas1", "ls -S /mnt/backup/uploads/data/*/* | head -n 1").strip()
    lab.do("nas1", f"cp -a {pack} /root/pack; printf XXXX | dd of={pack} seek=40 bs=1 conv=notrunc")
    try:
        lab.do("nas1", reads, code=1)
        check = seen(lab, name)
        assert not check["ok"] and "DAMAGED, or unreadable: " in check["seen"], check
        assert "; DAMAGED, or unreadable, 0 h ago: " in lab.invoke("status").out
    finally:
        lab.do("nas1", f"cp -a /root/pack {pack}; rm /root/pack")
    lab.do("nas1", reads)
    check = seen(lab, name)
    assert check["ok"] and "all were read" in check["seen"], check


def test_a_log_that_would_fill_the_disk_is_given_up_and_that_is_told(lab):
    name = "backups: the last ones of the database are young"
    program = "/usr/local/lib/crm-deployer/pgbackrest-wal"
    add(lab, "before")
    between(lab)
    lab.sql("SELECT pg_create_restore_point('test'), pg_switch_wal()")
    wait_for("what was written to be kept", lambda: pending(lab) == 0, 60)
    # As if there were too little room on any disk.
    lab.do("bbdd", f"sed -i 's/-lt .*; then/-lt 999999999999 ]; then/' {program}")
    for server in STORAGE:
        lab.do(server, "systemctl stop backup-repository")
    try:
        add(lab, "lost")
        lab.sql("SELECT pg_create_restore_point('test'), pg_switch_wal()")
        wait_for("PostgreSQL to go on", lambda: pending(lab) == 0, 60)
        missed = between(lab)
    finally:
        for server in STORAGE:
            lab.do(server, "systemctl start backup-repository")
    lab.fab("deploy")
    (check,) = [each for each in lab.checks(None)[1] if each["name"] == name]
    assert not check["ok"] and "'invoke backup.now' makes one" in check["seen"], check
    # What is there is in no backup: it is not replaced.
    refused = lab.invoke("backup.restore", "--yes", code=1)
    assert "'invoke backup.now' makes one" in refused.err, refused.text
    lab.invoke("backup.now")
    check = seen(lab, name)
    assert check["ok"] and ", and from " in check["seen"], check
    refused = lab.invoke("backup.restore", "--to", missed, "--yes", code=1)
    assert "is in no backup" in refused.err and "Nothing was changed" in refused.err, refused.text
    # Nothing was committed between the last row and the last moment that can be had.
    time_of = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    listed = lab.invoke("backup.list").out
    (last,) = re.findall(rf"to ({time_of}), and from {time_of} on can be had", listed)
    assert f"up to {last}, and from " in refused.err, refused.text
    lab.invoke("backup.restore", "--to", last, "--yes", limit=120)
    names = lab.sql("SELECT DISTINCT name FROM customers WHERE name IN ('before', 'lost')", "crm")
    assert names == "before"
    lab.sql("DELETE FROM customers WHERE name = 'before'", "crm")
