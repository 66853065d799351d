"""The pipeline: which stages a deployment has, and what each comes after.

Stages that do not come after each other run at the same time; the machines within a stage, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fabfile.engine.change import Refused, Resource
from fabfile.engine.converge import Rollout, Stage
from fabfile.engine.resources import Packages
from fabfile.scenario import Machine, Pinned, Scenario
from fabfile.scenario.debian import UnknownSystem
from fabfile.tiers.app import migration, volume
from fabfile.tiers.app import state as app
from fabfile.tiers.app.rolling import Rolling, batch_size
from fabfile.tiers.balancer import state as balancer
from fabfile.tiers.database import members
from fabfile.tiers.database import state as database
from fabfile.tiers.firewall import host
from fabfile.tiers.firewall import state as firewall
from fabfile.tiers.floating import OneByOne
from fabfile.tiers.storage import agreement, backup
from fabfile.tiers.storage import state as storage

Desired = Callable[[Scenario, Machine], list[Resource]]


def _app_servers(scenario: Scenario, batch: str) -> Rollout:
    """Return how the app servers change, so many at once; raises BatchError."""
    return Rolling(scenario, batch_size(batch, len(scenario.present("app"))))


# Which of a tier's machines a step is for.
ON = {"every": slice(None), "first": slice(1), "others": slice(1, None)}


@dataclass(frozen=True)
class Step:
    """A line of the pipeline; `on` names which machines of the tier it is for.

    One without a tier is for every machine that no firewall guards.

    One with a `rollout` changes a few at a time, while the others serve. One that `needs_source` is
    left out where a release is there already. `adding` tells that it is also for a server that is
    added, `removing` that it lists the servers, and must forget one that is removed; `routing`,
    that it decides which of them get clients, which comes first then; `anew`, that it belongs to a
    new database, also where only that is deployed.
    """

    name: str
    tier: str
    desired: Desired
    after: tuple[str, ...] = ()
    on: str = "every"
    rollout: Callable[[Scenario, str], Rollout | None] | None = None
    needs_source: bool = False
    adding: bool = False
    removing: bool = False
    routing: bool = False
    anew: bool = False


PIPELINE = (
    Step("guard", "", host.rules, adding=True, removing=True),
    Step("firewall", "firewall", firewall.rules),
    Step("forward", "firewall", firewall.forwarding, ("firewall",)),
    Step("agreement", "storage", agreement.desired, ("guard",)),
    Step(
        "database",
        "database",
        database.desired,
        ("guard", "agreement"),
        rollout=members.rolling,
        adding=True,
        removing=True,
    ),
    Step(
        "settings",
        "database",
        database.settled,
        ("database",),
        rollout=members.restarting,
        adding=True,
        removing=True,
    ),
    Step("alone", "storage", agreement.left, ("database",)),
    Step("storage", "storage", storage.desired, ("guard",)),
    Step("volume", "storage", storage.volume, ("storage",), "first", adding=True, removing=True),
    Step("bricks", "storage", storage.serving, ("volume",)),
    Step("backup", "storage", backup.desired, ("bricks",)),
    Step("begun", "storage", backup.begun, ("backup", "settings"), anew=True),
    Step("app", "app", app.desired, ("guard",), adding=True),
    Step("build", "app", app.built, ("app",), "first", needs_source=True),
    Step("ship", "app", app.shipped, ("app", "build"), "others", adding=True),
    Step("mount", "app", volume.mount, ("app", "volume", "bricks"), adding=True),
    Step("migrate", "app", migration.migrated, ("build", "settings"), "first", needs_source=True),
    Step(
        "serve", "app", app.serving, ("mount", "migrate", "ship"), rollout=_app_servers, adding=True
    ),
    Step("keep", "app", app.kept, ("serve",), adding=True),
    Step("proxy", "balancer", balancer.installed, ("guard",), adding=True),
    Step("balancer", "balancer", balancer.desired, ("proxy", "serve"), adding=True, routing=True),
    Step("seen", "balancer", balancer.seen, ("balancer",)),
    Step("address", "balancer", balancer.addressed, ("balancer",)),
)


def stages(scenario: Scenario, tier: str = "", batch: str = "1") -> list[Stage]:
    """Return the stages for a scenario: all, or those of one tier.

    `batch` says how many servers change at once where that is done while the others serve. A
    pinned release is neither built nor migrated, but shipped. Raises BatchError.
    """
    return [
        _stage(scenario, step, batch)
        for step in PIPELINE
        if (tier in ("", step.tier) or (step.anew and scenario.new_database))
        and not (scenario.pinned and step.needs_source)
    ]


def adding(scenario: Scenario, names: Sequence[str]) -> list[Stage]:
    """Return the stages that bring new app servers of a scenario, whose release is pinned."""
    found = [(step, _stage(scenario, step)) for step in PIPELINE if step.adding]
    return [
        replace(stage, machines=tuple(name for name in stage.machines if name in names))
        if step.tier == "app"
        else stage
        for step, stage in found
    ]


def listing(scenario: Scenario) -> list[Stage]:
    """Return the stages that list the servers, before one is added: what speaks against it."""
    return [_stage(scenario, step) for step in PIPELINE if step.removing]


def routing(scenario: Scenario) -> list[Stage]:
    """Return the stage that has the balancer know which app servers get clients."""
    return [_stage(scenario, step) for step in PIPELINE if step.routing]


def removing(scenario: Scenario) -> list[Stage]:
    """Return the stages once app servers are out of a scenario: no clients for them comes first."""
    first = routing(scenario)
    after = tuple(stage.name for stage in first)
    return [*first, *(replace(stage, after=after) for stage in listing(scenario))]


def _stage(scenario: Scenario, step: Step, batch: str = "1") -> Stage:
    found = machines(scenario, step)
    if scenario.pinned and step.on == "others":
        found = tuple(m for m in scenario.present("app") if m.name != scenario.pinned.holder)
    return Stage(
        step.name,
        tuple(machine.name for machine in found),
        lambda name: _desired(scenario, step, scenario.machine(name)),
        step.after,
        _rollout(scenario, step, batch),
    )


def _rollout(scenario: Scenario, step: Step, batch: str) -> Rollout | None:
    if step.rollout:
        return step.rollout(scenario, batch)
    return OneByOne(scenario, step.tier) if step.tier in scenario.floating else None


def machines(scenario: Scenario, step: Step) -> tuple[Machine, ...]:
    """Return the machines of a scenario that a step is for."""
    if not step.tier:
        return tuple(each for each in scenario.guarded if each.name not in scenario.absent)
    return scenario.present(step.tier)[ON[step.on]]


def _desired(scenario: Scenario, step: Step, machine: Machine) -> list[Resource]:
    """Return what a machine must have; raises Refused on one that runs no Debian that we know."""
    try:
        scenario.debian(machine)
    except UnknownSystem as unknown:
        raise Refused(str(unknown)) from None
    return step.desired(scenario, machine)


def packages(scenario: Scenario, machine: Machine) -> tuple[str, ...]:
    """Return the Debian packages that a machine's desired state names."""
    # They are the same for every release, so that the application's source is not read for them.
    scenario = replace(scenario, pinned=Pinned("any", scenario.builder.name))
    resources: Sequence[Resource] = [
        resource
        for step in PIPELINE
        if machine in machines(scenario, step)
        for resource in step.desired(scenario, machine)
    ]
    names = [
        name for resource in resources if isinstance(resource, Packages) for name in resource.names
    ]
    return tuple(dict.fromkeys(names))
