"""What tests of the backups share: rows that come and go, and what is said of backups."""

import re
import time
from contextlib import contextmanager
from datetime import datetime

STORAGE = ("nas1", "nas2", "nas3")
COUNT = "SELECT count(*) FROM customers"


def rows(lab):
    """Return how many customers there are, whatever has become of their table."""
    there = lab.sql("SELECT to_regclass('customers') IS NOT NULL", "crm")
    return int(lab.sql(COUNT, "crm")) if there == "t" else None


def add(lab, name):
    """Add a customer."""
    lab.sql(f"INSERT INTO customers (name) VALUES ('{name}')", "crm")


def between(lab):
    """Return a second in which nothing is written, with time before and after it."""
    time.sleep(1.1)  # the subject of the test: there is no condition to wait for
    second = datetime.now()
    time.sleep(1.1)
    return second.strftime("%Y-%m-%d %H:%M:%S.%f")


def seen(lab, name):
    """Return a check of `verify`."""
    (check,) = [each for each in lab.checks(None)[1] if each["name"] == name]
    return check


def kept(lab):
    """Return what `verify` says of what is written now."""
    return seen(lab, "backups: what is written now is kept")


@contextmanager
def at_it(lab, what):
    """Have a storage server make a backup that takes long, for the block."""
    hold = f"flock -F /mnt/backup/postgresql/{what}.lock sleep 300 >/dev/null 2>&1"
    lab.do("nas3", f"{hold} & echo $! >/run/at-it")
    try:
        yield
    finally:
        lab.do("nas3", "kill $(cat /run/at-it)")


def last_backup(lab):
    """Return when the last backup was made, as `backup.list` shows it first."""
    return re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", lab.invoke("backup.list").out)[0]


def pending(lab):
    """Return how many pieces of the log are to be kept."""
    files = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'"
    return int(lab.sql(files))
