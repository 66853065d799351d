"""The tasks of the database tier."""

from __future__ import annotations

from invoke import Context, task

from fabfile.operations import deployment
from fabfile.operations.tasks import BATCH, NEW_DATABASE, WAIT


@task(name="deploy", help={"batch": BATCH, "wait": WAIT, "new-database": NEW_DATABASE})
def deploy_database(
    context: Context, batch: str = "1", wait: bool = False, new_database: bool = False
) -> None:
    """Bring the database server to the state that config.py describes."""
    deployment.deploy("database", batch, wait, new_database=new_database)


ALL = (deploy_database,)
