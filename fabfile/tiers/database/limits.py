"""How many connections PostgreSQL and its pooler must have room for: it follows from app servers.

Standard library only: a scenario that does not fit is refused when it is read.
"""

from __future__ import annotations

from collections.abc import Sequence

from fabfile.scenario.parts import Application, Machine

# For a migration and its lock, verify, status, backups, and superuser_reserved_connections.
OURS = 20
# Of these, so many are logins of verify by the pooler.
POOLED = 5
# Each one is a process, and taking a snapshot of the data looks at all of them.
MOST = 1000
# PostgreSQL restarts when this changes, so there is room for as many servers at once.
FIRST_STEP = 16
# What a connection's process takes for itself: about 3 MiB measured, and one sort (work_mem).
MEBIBYTES_EACH = 7
# Of what is given back behind each transaction: more of them at once only wait for each other.
MOST_SHARED, LEAST_SHARED, SHARED_EACH_CORE = 100, 10, 8
# Each of the pooler's clients and servers is an open file; files of its own come on top.
MOST_CLIENTS, FILES = 100_000, 131_072


def held(servers: int, applications: Sequence[Application]) -> int:
    """Return how many sessions of PostgreSQL that many app servers and the deployer may hold.

    An app server runs one application at a time.
    """
    return servers * max(each.sessions for each in applications) + OURS


def needed(servers: int, applications: Sequence[Application]) -> int:
    """Return how many there may be at once: those held, and those given back in between."""
    shared = [
        min(servers * each.connections, MOST_SHARED)
        for each in applications
        if each.pool == "transaction"
    ]
    return held(servers, applications) + max(shared, default=0)


def room(servers: int, applications: Sequence[Application]) -> int:
    """Return how many app servers there is room for, so that more of them are no restart."""
    step = _step(servers)
    most = max(each.sessions for each in applications)
    others = needed(step, applications) - step * most
    return min(step, (MOST - others) // most) if most else step


def _step(servers: int) -> int:
    step = FIRST_STEP
    while step < servers:
        step *= 2
    return step


def max_connections(servers: int, applications: Sequence[Application]) -> int:
    """Return PostgreSQL's max_connections."""
    return needed(room(servers, applications), applications)


def pool_size(
    application: Application, servers: int, applications: Sequence[Application], shared: int
) -> int:
    """Return how many connections to PostgreSQL the pooler may have for an application.

    `shared` is how many PostgreSQL can take of those that are given back behind a transaction.
    """
    all_of_them = room(servers, applications) * application.connections
    if application.pool == "transaction":
        return min(all_of_them, shared)
    return all_of_them + POOLED


def shared(cores: int, mebibytes: int) -> int:
    """Return how many connections PostgreSQL can take that are given back behind a transaction.

    A quarter of the memory is theirs at most.
    """
    most = min(MOST_SHARED, SHARED_EACH_CORE * cores, mebibytes // 4 // MEBIBYTES_EACH)
    return max(LEAST_SHARED, most)


def clients(servers: int, applications: Sequence[Application]) -> int:
    """Return the pooler's max_client_conn.

    Twice what the servers may open: those of a server that died count until that is noticed.
    """
    each = max(each.connections for each in applications)
    return min(2 * _step(servers) * each + OURS, MOST_CLIENTS)


def mistakes(
    machines: Sequence[Machine], replicas: int, applications: Sequence[Application]
) -> list[str]:
    """Return what is wrong with the number of app servers and of their connections."""
    servers = sum("app" in machine.tiers for machine in machines)
    crowd = _problem(servers, applications) if applications else ""
    return [crowd] if crowd else []


def _problem(servers: int, applications: Sequence[Application]) -> str:
    """Return the sentence for app servers that cannot be served, "" when they can."""
    total, most = needed(servers, applications), max(applications, key=lambda each: each.sessions)
    if total > MOST:
        others = total - servers * most.sessions
        whose = "the deployer's" if others == OURS else "the deployer's and other applications'"
        advice = ""
        if most.pool == "session":
            advice = ", or 'pool': 'transaction' if it can do with that"
        return (
            f"MACHINES has {servers} app servers, each with up to {most.sessions} connections to "
            f"the database ('connections' of {most.name}); with {others} of {whose} that is "
            f"{total}, and PostgreSQL gets {MOST} at most: fewer servers, or fewer connections "
            f"each{advice}"
        )
    most = max(applications, key=lambda each: each.connections)
    if 2 * servers * most.connections + OURS > MOST_CLIENTS:
        return (
            f"MACHINES has {servers} app servers, each with up to {most.connections} connections "
            f"('connections' of {most.name}), which is more than half of the {MOST_CLIENTS} that "
            "the pooler can hold: fewer servers, or fewer connections each"
        )
    return ""
