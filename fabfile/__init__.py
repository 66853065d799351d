"""The tasks, by tier. The order in which a deployment goes is PIPELINE in pipeline.py."""

from invoke import Collection, Context, Task, task

from fabfile import deployment, lab, verification
from fabfile import status as status_report


@task
def deploy(context: Context) -> None:
    """Bring all machines to the state that config.py describes."""
    deployment.deploy()


@task
def plan(context: Context) -> None:
    """Show what deploy would change, and change nothing (exit code 2 if there is something)."""
    deployment.show_plan()


@task(help={"json": "print it as JSON"})
def status(context: Context, json: bool = False) -> None:
    """Show every machine: up since when, its services, and what it sees of the others."""
    status_report.report(json)


@task(help={"json": "print the checks as JSON"})
def verify(context: Context, json: bool = False) -> None:
    """Check from outside that everything works (exit code 1 if something does not)."""
    verification.show(json)


@task
def address(context: Context) -> None:
    """Say where the users find the application, and who can log in at first."""
    deployment.show_address()


def _tier(tier: str, what: str) -> Collection:
    def deploy_tier(context: Context) -> None:
        deployment.deploy(tier)

    def plan_tier(context: Context) -> None:
        deployment.show_plan(tier)

    deploy_tier.__doc__ = f"Bring {what} to the state that config.py describes."
    plan_tier.__doc__ = f"Show what deploying {what} would change."
    return Collection(
        tier, deploy=Task(deploy_tier, name="deploy"), plan=Task(plan_tier, name="plan")
    )


namespace = Collection(deploy, plan, status, verify, address)
namespace.add_collection(_tier("database", "the database server"), "database")
namespace.add_collection(_tier("storage", "the storage servers"), "storage")
namespace.add_collection(_tier("app", "the app servers"), "app")
namespace.add_collection(_tier("balancer", "the load balancer"), "balancer")
namespace.add_collection(_tier("firewall", "the firewall"), "firewall")
namespace.add_collection(lab.namespace, "lab")
