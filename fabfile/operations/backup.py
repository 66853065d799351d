"""The tasks of the backups: make one now, show them, and bring the data back to an earlier time."""

from __future__ import annotations

from invoke import Collection, Context, task

from fabfile.operations import restoring
from fabfile.operations.asking import asking
from fabfile.operations.tasks import WAIT

TIME = 'a time of this computer, as "2026-11-25 13:05:00", or with a zone, as "... 13:05:00+00:00"'


@task(help={"full": "a full one, not only what differs from the last full one"})
def now(context: Context, full: bool = False) -> None:
    """Back up the database now, whatever the timers do."""
    restoring.make("full" if full else "diff")


@task(name="list")
def show(context: Context) -> None:
    """Show the backups, and from when on any second can be had."""
    restoring.show()


@task(
    help={
        "to": f"{TIME}; without it, the last moment that is in the backups",
        "yes": "do not ask",
        "wait": WAIT,
    }
)
def restore(context: Context, to: str = "", yes: bool = False, wait: bool = False) -> None:
    """Bring the database back to what it was: backup.restore --to "2026-11-25 13:05:00"."""
    restoring.restore(to, yes, wait)


namespace = Collection("backup", *map(asking, (now, show, restore)))
