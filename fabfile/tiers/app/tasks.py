"""The tasks of the app tier beside its deploy: the application's releases and what it says."""

from __future__ import annotations

from invoke import Context, task

from fabfile.operations import releases
from fabfile.operations.rollback import rollback as rollback_to
from fabfile.operations.tasks import BATCH, WAIT


@task(name="releases")
def show_releases(context: Context) -> None:
    """Show the application's releases: which servers keep and run each."""
    releases.show()


@task(
    help={
        "to": "a release; by default the one that ran before",
        "with-data": "bring the database back, too, to before the migrations since; it says what "
        "is lost, and asks",
        "yes": "do not ask",
        "batch": BATCH,
        "wait": WAIT,
    }
)
def rollback(
    context: Context,
    to: str = "",
    with_data: bool = False,
    yes: bool = False,
    batch: str = "1",
    wait: bool = False,
) -> None:
    """Have all app servers run an earlier release, while clients are being served."""
    rollback_to(to, batch, wait, with_data, yes)


@task(help={"batch": BATCH, "wait": WAIT})
def restart(context: Context, batch: str = "1", wait: bool = False) -> None:
    """Restart the application on all app servers, while clients are being served."""
    releases.restart(batch, wait)


@task(help={"follow": "go on with new lines, until Ctrl-C", "lines": "how many of each server"})
def logs(context: Context, follow: bool = False, lines: str = "20") -> None:
    """Show what the application says on all app servers."""
    releases.logs(follow, lines)


ALL = (show_releases, rollback, restart, logs)
