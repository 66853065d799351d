"""The tasks of the database tier."""

from __future__ import annotations

from invoke import Context, task

from fabfile.operations import deployment, members
from fabfile.operations.tasks import BATCH, NEW_DATABASE, WAIT


@task(name="deploy", help={"batch": BATCH, "wait": WAIT, "new-database": NEW_DATABASE})
def deploy_database(
    context: Context, batch: str = "1", wait: bool = False, new_database: bool = False
) -> None:
    """Bring the database server to the state that config.py describes."""
    deployment.deploy("database", batch, wait, new_database=new_database)


@task(help={"to": "the database to become the primary; default: who is in step", "wait": WAIT})
def switchover(context: Context, to: str = "", wait: bool = False) -> None:
    """Make another database of a pair the primary; what clients ask waits, and none of it fails."""
    members.switchover(to, wait)


@task(help={"name": "the standby", "wait": WAIT})
def reinit(context: Context, name: str, wait: bool = False) -> None:
    """Have a standby copy the primary anew, in place of what it has."""
    members.reinit(name, wait)


ALL = (deploy_database, switchover, reinit)
