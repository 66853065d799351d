"""The pipeline: which stages a deployment has, and what each comes after.

Stages that do not come after each other run at the same time; the machines within a stage, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fabfile import app, balancer, database, firewall, storage
from fabfile.engine.change import Resource
from fabfile.engine.converge import Stage
from fabfile.engine.resources import Packages
from fabfile.scenario import Machine, Scenario

Desired = Callable[[Scenario, Machine], list[Resource]]


# Which of a tier's machines a step is for.
ON = {"every": slice(None), "first": slice(1), "others": slice(1, None)}


@dataclass(frozen=True)
class Step:
    """A line of the pipeline; `on` names which machines of the tier it is for."""

    name: str
    tier: str
    desired: Desired
    after: tuple[str, ...] = ()
    on: str = "every"


PIPELINE = (
    Step("firewall", "firewall", firewall.rules),
    Step("forward", "firewall", firewall.forwarding, after=("firewall",)),
    Step("database", "database", database.desired),
    Step("storage", "storage", storage.desired),
    Step("volume", "storage", storage.volume, after=("storage",), on="first"),
    Step("bricks", "storage", storage.serving, after=("volume",)),
    Step("app", "app", app.desired),
    Step("build", "app", app.built, after=("app",), on="first"),
    Step("ship", "app", app.shipped, after=("build",), on="others"),
    Step("mount", "app", app.mount, after=("app", "bricks")),
    Step("migrate", "app", app.migrated, after=("build", "database"), on="first"),
    Step("serve", "app", app.serving, after=("mount", "migrate", "ship")),
    Step("balancer", "balancer", balancer.desired),
)


def stages(scenario: Scenario, tier: str = "") -> list[Stage]:
    """Answer the stages for a scenario: all, or those of one tier."""
    return [_stage(scenario, step) for step in PIPELINE if tier in ("", step.tier)]


def _stage(scenario: Scenario, step: Step) -> Stage:
    machines = scenario.tier(step.tier)[ON[step.on]]
    return Stage(
        step.name,
        tuple(machine.name for machine in machines),
        lambda name: step.desired(scenario, scenario.machine(name)),
        step.after,
    )


def packages(scenario: Scenario, machine: Machine) -> tuple[str, ...]:
    """Answer the Debian packages that a machine's desired state names."""
    resources: Sequence[Resource] = [
        resource
        for step in PIPELINE
        if step.tier == machine.tier
        for resource in step.desired(scenario, machine)
    ]
    names = [
        name for resource in resources if isinstance(resource, Packages) for name in resource.names
    ]
    return tuple(dict.fromkeys(names))
