"""Shows who may reach whom: the table from which rules, access lists and checks follow."""

from __future__ import annotations

from fabfile.operations.progress import console
from fabfile.operations.session import scenario as scenario_to_show
from fabfile.scenario import Scenario
from fabfile.scenario.flows import SSH, Flow
from fabfile.tiers import TIERS

HEAD = ("| from | to | for | port |", "|---|---|---|---|")


def show() -> None:
    """Print the table."""
    console.print(table(scenario_to_show()), markup=False)


def table(scenario: Scenario) -> str:
    """Return the table of a scenario, as Markdown: of tiers that it has, and whoever asks them."""
    rows: dict[tuple[str, str], tuple[dict[str, None], dict[str, None]]] = {}
    for flow in (each for each in scenario.flows if _is_there(scenario, each)):
        targets, ports = rows.setdefault((flow.source, flow.listener.words), ({}, {}))
        targets[flow.target] = ports[_port(scenario, flow)] = None
    lines = [
        f"| {source} | {', '.join(targets)} | {words} | {', '.join(ports)} |"
        for (source, words), (targets, ports) in rows.items()
    ]
    return "\n".join([*HEAD, *lines])


def _is_there(scenario: Scenario, flow: Flow) -> bool:
    # Who is not inside, as the users, need no machine of the scenario.
    asked = len(scenario.tier(flow.target)) > (flow.source == flow.target)
    return asked and (bool(scenario.tier(flow.source)) or not TIERS[flow.source].inside)


def _port(scenario: Scenario, flow: Flow) -> str:
    protocol = flow.listener.protocol.upper()
    if protocol not in ("TCP", "UDP"):
        return protocol
    if flow.listener == SSH:
        ports = {machine.ssh.port or 22 for machine in scenario.tier(flow.target)}
        return f"TCP {', '.join(map(str, sorted(ports)))}"
    first, last = flow.listener.ports(scenario.ports)
    return f"{protocol} {first}" if first == last else f"{protocol} {first} to {last}"
