"""How many connections PostgreSQL must have room for, which follows from the app servers.

Standard library only: a scenario that does not fit is refused when it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fabfile.scenario.parts import Application, Machine

# For a migration and its lock, verify, status, and superuser_reserved_connections.
OURS = 20
# Without a pooler. Each one is a process, and taking a snapshot of the data looks at all of them.
MOST = 1000
# PostgreSQL restarts when this changes, so there is room for as many servers at once.
FIRST_STEP = 16
# What a connection's process takes for itself: about 3 MiB measured, and one sort (work_mem).
MEBIBYTES_EACH = 7


def needed(servers: int, each: Iterable[int]) -> int:
    """Return how many connections that many app servers and the deployer may open.

    `each` holds what one server may open, by application; a server runs one at a time.
    """
    return servers * max(each) + OURS


def max_connections(servers: int, each: Iterable[int]) -> int:
    """Return PostgreSQL's max_connections, with room for more servers than there are."""
    room = FIRST_STEP
    while room < servers:
        room *= 2
    return min(needed(room, each), MOST)


def mistakes(
    machines: Sequence[Machine], replicas: int, applications: Sequence[Application]
) -> list[str]:
    """Return what is wrong with the number of app servers and of their connections."""
    servers = sum("app" in machine.tiers for machine in machines)
    crowd = _problem(servers, {each.name: each.sessions for each in applications})
    return [crowd] if crowd else []


def _problem(servers: int, each: dict[str, int]) -> str:
    """Return the sentence for app servers that PostgreSQL cannot serve, "" when it can.

    `each` is by the application's name.
    """
    if not each or needed(servers, each.values()) <= MOST:
        return ""
    name = max(each, key=lambda name: each[name])
    return (
        f"MACHINES has {servers} app servers, each with up to {each[name]} connections to the "
        f"database ('connections' of {name}); with {OURS} of the deployer's that is "
        f"{needed(servers, each.values())}, and PostgreSQL gets {MOST} at most: fewer servers, or "
        "fewer connections each"
    )
