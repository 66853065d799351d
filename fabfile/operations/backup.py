"""The tasks of the backups: make one now, show them, and bring the data back to an earlier time."""

from __future__ import annotations

from invoke import Collection, Context, task

from fabfile.operations import backups, bringing, keys, looking, missing, restoring
from fabfile.operations.asking import asking
from fabfile.operations.tasks import WAIT

TIME = 'a time of this computer, as "2026-11-25 13:05:00", or with a zone, as "... 13:05:00+00:00"'


@task(
    help={
        "full": "a full one, not only what differs from the last full one",
        "anew": "also where the database is not the one of the backups, which stay for their time",
        "take-second-place": "set aside what the second place has of other backups, and copy there",
    }
)
def now(
    context: Context, full: bool = False, anew: bool = False, take_second_place: bool = False
) -> None:
    """Back up database and uploads now, whatever the timers do."""
    backups.make("anew" if anew else "full" if full else "diff", take_second_place)


@task(name="list")
def show(context: Context) -> None:
    """Show the backups, and which times can be had."""
    backups.show()


@task(
    help={
        "to": f"{TIME}; without it, the last moment that is in the backups",
        "into": "a new database, and a directory, of that name to look at; all else stays",
        "from-second-place": "onto machines that have nothing: from the copies of the backups",
        "yes": "do not ask",
        "wait": WAIT,
    }
)
def restore(
    context: Context,
    to: str = "",
    into: str = "",
    from_second_place: bool = False,
    yes: bool = False,
    wait: bool = False,
) -> None:
    """Bring the database back to what it was: backup.restore --to "2026-11-25 13:05:00"."""
    if into:
        looking.restore_into(to, into)
    elif from_second_place:
        bringing.restore(to, yes, wait)
    else:
        restoring.restore(to, yes, wait)


@task()
def check(context: Context) -> None:
    """Compare the backups with what there is, in a place of their own; each week by itself."""
    looking.check()


@task(name="missing")
def show_missing(context: Context) -> None:
    """Show the uploads that the application knows of and that are not there."""
    missing.show()


@task(
    help={
        "to": "a new file, which holds all that a restore on another computer needs",
        "from": "such a file: use it on this computer, which knows nothing of the scenario yet",
    }
)
def key(context: Context, to: str = "", from_: str = "") -> None:
    """Export the key to the backups, to be kept elsewhere: backup.key --to FILE."""
    keys.key(to, from_)


namespace = Collection("backup", *map(asking, (now, show, restore, check, show_missing)), key)
