"""What the checks see of the databases of a pair: who is what, who follows, and who knows it."""

from __future__ import annotations

from functools import partial

from fabfile.engine.waiting import AWAIT, wait_until
from fabfile.scenario import Machine
from fabfile.tiers.database import cluster, members, pair, patroni
from fabfile.tiers.storage import agreement
from fabfile.verify.check import Check, Site, judged, together

# A standby that is further behind would take long to serve in the place of the primary.
MOST_BEHIND = 16 << 20
SEEN_SECONDS = 5
NOTED_SECONDS = 15
# "f|3|": in recovery or not, timeline, how far it has got.
STATE = f"""
SELECT pg_is_in_recovery(), {pair.TIMELINE}, CASE WHEN pg_is_in_recovery()
    THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0';"""


def checks(site: Site) -> list[Check]:
    """Check the promises of several databases; there are none where there is one."""
    if not site.scenario.paired("database"):
        return []
    of_the_pair = {
        "one is the primary, and the others follow it": _roles,
        **(
            {}
            if site.scenario.replication == "asynchronous"
            else {"what the primary acknowledges is on another one": _synchronous}
        ),
        "what is written is seen on each standby": _seen,
        "the storage servers agree who is the primary": _agreed,
    }
    return [
        judged(f"database: {words}", partial(judge, site)) for words, judge in of_the_pair.items()
    ]


def _asked(site: Site, machine: Machine, sql: str) -> str:
    functions = cluster.library(site.scenario)
    return site.run(machine.name, f"{functions}ask <<'SQL' 2>&1\n{sql}\nSQL\n").strip()


def _states(site: Site) -> dict[str, list[str]]:
    """Return name -> in recovery or not, timeline, bytes of the log; an error is one word."""
    asked = together(site.scenario.tier("database"), lambda machine: _asked(site, machine, STATE))
    return {name: text.split("|") for name, text in asked.items()}


def _roles(site: Site) -> tuple[bool, str]:
    states = _states(site)
    if silent := [name for name, state in states.items() if len(state) != 3]:
        return False, f"no answer from {', '.join(silent)}: {states[silent[0]][0]}"
    primaries = [name for name, state in states.items() if state[0] == "f"]
    if len(primaries) != 1:
        return False, f"primaries: {', '.join(primaries) or 'none'}"
    (primary,) = primaries
    end = int(states[primary][2])
    behind = {name: end - int(state[2]) for name, state in states.items() if name != primary}
    timelines = {state[1] for state in states.values()}
    words = ", ".join(f"{name} {max(0, bytes_)} bytes behind" for name, bytes_ in behind.items())
    seen = f"{primary} is, on timeline {states[primary][1]}; {words}"
    return max(behind.values()) < MOST_BEHIND and len(timelines) == 1, seen


def _synchronous(site: Site) -> tuple[bool, str]:
    machine = members.seen(site)
    names = _asked(
        site,
        machine,
        "SELECT string_agg(application_name, ', ') FROM pg_stat_replication "
        "WHERE state = 'streaming' AND sync_state = 'sync';",
    )
    if not names:
        return False, (
            f"{machine.name} waits for nobody: what it acknowledges is on no other machine"
        )
    # Patroni promotes nobody else, and notes it a few seconds after PostgreSQL begins to wait.
    asked = f"{AWAIT}{patroni.library(site.scenario, machine)}in_step {NOTED_SECONDS}"
    noted = site.run(machine.name, asked).strip()
    return noted in names.split(", "), f"{machine.name} waits for {names}; noted in etcd: {noted}"


def _seen(site: Site) -> tuple[bool, str]:
    """Write a message into the log, which is in no table, and wait for it on each standby."""
    primary = members.seen(site)
    end = _asked(site, primary, "SELECT pg_logical_emit_message(true, 'verify', 'seen') - '0/0';")
    standbys = [each for each in site.scenario.tier("database") if each != primary]

    if not end.isdecimal():
        return False, f"{primary.name}: {end}"

    def there(machine: Machine) -> bool:
        replayed = f"SELECT pg_last_wal_replay_lsn() - '0/0' >= {end};"
        return wait_until(lambda _left: _asked(site, machine, replayed) == "t", SEEN_SECONDS)

    late = [name for name, seen in together(standbys, there).items() if not seen]
    if late:
        return False, f"not within {SEEN_SECONDS} s on {', '.join(late)}"
    return True, f"on {', '.join(each.name for each in standbys)}"


def _agreed(site: Site) -> tuple[bool, str]:
    asker = site.first("database")
    asked = agreement.client(site.scenario, asker, patroni.NAME)
    names = {
        site.scenario.address(each, seen_by=asker): each.name
        for each in agreement.members(site.scenario)
    }
    text = site.run(asker.name, f"{asked}etcdctl --command-timeout=5s endpoint health 2>&1")
    healthy = [name for at, name in names.items() if f"{at}:{agreement.CLIENTS} is healthy" in text]
    silent = sorted({*names.values()} - {*healthy})
    return not silent, (
        f"{', '.join(healthy)} do" if not silent else f"no answer from {', '.join(silent)}"
    )
