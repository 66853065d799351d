"""The pipeline: which stages a deployment has, and what each comes after.

Stages that do not come after each other run at the same time; the machines within a stage, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fabfile import app, balancer, database, firewall, migration, storage
from fabfile.engine.change import Resource
from fabfile.engine.converge import Stage
from fabfile.engine.resources import Packages
from fabfile.rolling import Rolling, batch_size
from fabfile.scenario import Machine, Pinned, Scenario

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
    rolling: bool = False  # a few at a time, while the others serve


PIPELINE = (
    Step("firewall", "firewall", firewall.rules),
    Step("forward", "firewall", firewall.forwarding, after=("firewall",)),
    Step("database", "database", database.desired),
    Step("storage", "storage", storage.desired),
    Step("volume", "storage", storage.volume, after=("storage",), on="first"),
    Step("bricks", "storage", storage.serving, after=("volume",)),
    Step("app", "app", app.desired),
    Step("build", "app", app.built, after=("app",), on="first"),
    Step("ship", "app", app.shipped, after=("app", "build"), on="others"),
    Step("mount", "app", app.mount, after=("app", "volume", "bricks")),
    Step("migrate", "app", migration.migrated, after=("build", "database"), on="first"),
    Step("serve", "app", app.serving, after=("mount", "migrate", "ship"), rolling=True),
    Step("keep", "app", app.kept, after=("serve",)),
    Step("proxy", "balancer", balancer.installed),
    Step("balancer", "balancer", balancer.desired, after=("proxy", "serve")),
)


def stages(scenario: Scenario, tier: str = "", batch: str = "1") -> list[Stage]:
    """Answer the stages for a scenario: all, or those of one tier.

    `batch` says how many servers change at once where that is done while the others serve. A
    pinned release is neither built nor migrated, but shipped. Raises BatchError.
    """
    return [
        _stage(scenario, step, batch)
        for step in PIPELINE
        if tier in ("", step.tier) and not (scenario.pinned and step.name in ("build", "migrate"))
    ]


def growing(scenario: Scenario, names: Sequence[str]) -> list[Stage]:
    """Answer the stages that bring new app servers of a scenario, whose release is pinned."""
    steps = {"database", "volume", "app", "ship", "mount", "serve", "keep", "proxy", "balancer"}
    new = set(names)
    return [
        replace(stage, machines=tuple(name for name in stage.machines if name in new))
        if scenario.machine(stage.machines[0]).tier == "app"
        else stage
        for stage in stages(scenario)
        if stage.name in steps
    ]


def routing(scenario: Scenario) -> list[Stage]:
    """Answer the stage that has the balancer know which app servers get clients."""
    return [stage for stage in stages(scenario) if stage.name == "balancer"]


def shrinking(scenario: Scenario) -> list[Stage]:
    """Answer the stages once app servers are out of a scenario: no clients for them comes first."""
    found = {stage.name: stage for stage in stages(scenario)}
    closing = [replace(found[name], after=("balancer",)) for name in ("database", "volume")]
    return [found["balancer"], *closing]


def _stage(scenario: Scenario, step: Step, batch: str) -> Stage:
    machines = scenario.present(step.tier)[ON[step.on]]
    if scenario.pinned and step.name == "ship":
        machines = tuple(m for m in scenario.present("app") if m.name != scenario.pinned.holder)
    size = batch_size(batch, len(machines))
    return Stage(
        step.name,
        tuple(machine.name for machine in machines),
        lambda name: step.desired(scenario, scenario.machine(name)),
        step.after,
        Rolling(scenario, size) if step.rolling else None,
    )


def packages(scenario: Scenario, machine: Machine) -> tuple[str, ...]:
    """Answer the Debian packages that a machine's desired state names."""
    # They are the same for every release, so that the application's source is not read for them.
    first = scenario.tier("app")[0].name
    scenario = replace(scenario, pinned=Pinned("any", first))
    resources: Sequence[Resource] = [
        resource
        for step in PIPELINE
        if machine in scenario.tier(step.tier)[ON[step.on]]
        for resource in step.desired(scenario, machine)
    ]
    names = [
        name for resource in resources if isinstance(resource, Packages) for name in resource.names
    ]
    return tuple(dict.fromkeys(names))
