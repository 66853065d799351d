"""What the checks see of the pooler as it runs: who is with it, what it may open, what it keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fabfile.scenario import Machine
from fabfile.tiers.database import limits, pooler
from fabfile.verify.check import Site

# What no application can have: those of the administrator alone.
LIMIT = (
    "SELECT current_setting('max_connections')::int "
    "- current_setting('superuser_reserved_connections')::int "
    "- coalesce(current_setting('reserved_connections', true), '0')::int"
)


@dataclass(frozen=True)
class Console:
    """What the pooler's console has said: its tables, and how many files it may have open."""

    tables: Mapping[str, list[dict[str, str]]]
    files: int


def console(site: Site) -> Console:
    """Ask the pooler's console; raises RuntimeError when it does not answer.

    Of several poolers, all that have clients are asked for them.
    """
    first, *others = (_console(site, each) for each in site.scenario.present("database"))
    clients = [row for each in (first, *others) for row in each.tables["type"]]
    return Console({**first.tables, "type": clients}, first.files)


def _console(site: Site, machine: Machine) -> Console:
    commands = "SHOW CONFIG;\\nSHOW DATABASES;\\nSHOW CLIENTS;\\n"
    files = f"/proc/$(systemctl show -P MainPID {pooler.UNIT})/limits"
    text = site.run(
        machine.name,
        f"awk '/^Max open files/ {{ print $4 }}' {files} 2>/dev/null || echo 0\n"
        f"{pooler.library(site.scenario)}printf '{commands}' | ask_pooler 2>&1",
    )
    number, _, said = text.partition("\n")
    tables = pooler.read(said)
    if "type" not in tables:
        last = (said.strip().splitlines() or ["nothing"])[-1]
        raise RuntimeError(f"the pooler does not answer: {last}")
    return Console(tables, int(number) if number.isdecimal() else 0)


def connections(found: Console, database: str) -> Counter[str]:
    """Return how many connections each address has with the pooler, for a database."""
    return Counter(row["addr"] for row in found.tables["type"] if row["database"] == database)


def kept(site: Site) -> list[str]:
    """Return the first letters of what the pooler keeps for each role, and of nothing else."""
    text = site.run(
        site.first("database").name,
        f'sed -n \'s/^"[^"]*" "\\(.\\{{0,13\\}}\\).*/\\1/p\' {pooler.USERS}',
    )
    return sorted(set(text.split("\n")) - {""})


def fits(site: Site, found: Console, ask: Callable[[str], str]) -> tuple[bool, str]:
    """Tell whether what the servers may open is less than what runs has room for.

    And that no server has opened more than it may. `ask` answers a query to PostgreSQL.
    """
    application, servers = site.scenario.application, site.scenario.tier("app")
    config = {row["key"]: row["value"] for row in found.tables["key"]}
    pools = {row["name"]: row for row in found.tables["name"]}
    if application.database not in pools:
        return False, f"the pooler knows no database {application.database}"
    pool = pools[application.database]
    most = len(servers) * application.connections + limits.POOLED
    taken, size, limit = int(config["max_client_conn"]), int(pool["pool_size"]), int(ask(LIMIT))
    # What a server holds between transactions takes none of PostgreSQL's.
    held = most if application.pool == "session" else 1
    rooms = {
        f"the pooler takes {taken}": taken >= most,
        f"it may open {found.files} files": found.files >= taken + size,
        f"its pool has {size} by {pool['pool_mode']}": size >= held
        and pool["pool_mode"] == application.pool,
        f"PostgreSQL has {limit}": limit >= size + len(servers) * application.locks,
    }
    seen = connections(found, application.database)
    machine = site.first("database")
    opened = {each.name: seen[site.scenario.address(each, seen_by=machine)] for each in servers}
    name = max(opened, key=lambda each: opened[each])
    rooms[f"{name} has opened {opened[name]} of {application.connections}"] = (
        opened[name] <= application.connections
    )
    wrong = [words for words, ok in rooms.items() if not ok]
    begin = f"{len(servers)} servers and verify may open {most}"
    if wrong:
        return False, f"{begin}, and {', and '.join(wrong)}"
    return True, f"{begin}: {', '.join(rooms)}"
