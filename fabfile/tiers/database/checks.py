"""Database: each app server is connected from its own address, and nobody else gets in."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fabfile.engine.remote import Remote
from fabfile.engine.waiting import wait_until
from fabfile.scenario import Machine
from fabfile.tiers.database import sqlite
from fabfile.verify.check import Check, Site, judged

if TYPE_CHECKING:
    from fabfile.tiers.database.programs import health, startup

# By Debian's name of the cluster: it asks its own settings for the port, whoever else has the usual
# one. Of several versions the latest.
CLUSTER = '$(pg_lsclusters -h | awk \'$2 == "main" { print $1 "/" $2 }\' | tail -n 1)'
CONNECTED_SECONDS = 10
PROGRAMS = Path(__file__).parent / "programs"


def checks(site: Site) -> list[Check]:
    """Check who is connected to the database, who is refused, and how the password is kept."""
    connected = [
        judged(
            f"database: {app.name} is connected from {_seen(site, app)}",
            partial(_connected, site, app),
        )
        for app in site.scenario.present("app")
    ]
    app = site.first("app")
    strangers = [
        judged(f"database: refused from {stranger.name}", partial(_refused, site, stranger))
        for stranger in _strangers(site)
    ]
    return [
        *connected,
        *strangers,
        judged("database: refused with a wrong password", lambda: _wrong_password(site, app)),
        judged("database: the password is stored as SCRAM-SHA-256", lambda: _scram(site)),
        judged("database: no SQLite file in the application", lambda: sqlite.none(site)),
    ]


def _strangers(site: Site) -> list[Machine]:
    """Return a machine that has no business with the database, storage first; none has to be."""
    storage = site.scenario.tier("storage")
    known = {"app", "database"}
    others = [each for each in (*storage, *site.scenario.inside) if not known & {*each.tiers}]
    there = [each for each in others if isinstance(site.remotes.get(each.name), Remote)]
    return (there or others)[:1]


def _query(site: Site, sql: str) -> str:
    machine = site.first("database").name
    psql = f'psql --cluster "{CLUSTER}"'
    return site.run(machine, f'cd / && runuser -u postgres -- {psql} -XAt -c "{sql}"').strip()


def _seen(site: Site, app: Machine) -> str:
    """Return the address that an app server comes from, as the database sees it."""
    return site.scenario.address(app, seen_by=site.first("database"))


def _connected(site: Site, app: Machine) -> tuple[bool, str]:
    application = site.scenario.application
    # From a balancer, as nobody else may; but past HAProxy, to leave its turns alone.
    balancer = site.first("balancer")
    given: health.Given = {
        "address": site.scenario.address(app, seen_by=balancer),
        "port": site.scenario.ports["app"],
        "path": application.health,
    }
    site.program(balancer.name, PROGRAMS / "health.py", given)
    seen = ""

    def connected(_left: float) -> bool:
        nonlocal seen
        text = _query(
            site,
            "SELECT client_addr, count(*) FROM pg_stat_activity "
            f"WHERE datname = '{application.database}' AND client_addr IS NOT NULL "
            "GROUP BY 1 ORDER BY 1",
        )
        rows = dict(line.split("|") for line in text.splitlines() if line.count("|") == 1)
        count = rows.get(_seen(site, app), "0")
        seen = f"{count} connections from it; seen: {', '.join(rows) or 'none'}"
        return count != "0"

    # A health path need not ask the database: the pages that the other checks want do.
    return wait_until(connected, CONNECTED_SECONDS, 0.5), seen


def _refused(site: Site, stranger: Machine) -> tuple[bool, str]:
    given: startup.Given = {
        "address": site.scenario.database_address,
        "port": site.scenario.ports["database"],
        "user": site.scenario.application.database,
        "database": site.scenario.application.database,
    }
    kind, said = site.program(stranger.name, PROGRAMS / "startup.py", given)
    if not kind and site.scenario.guarded:
        return True, f"{said}: its own rules let in the app servers only"
    if "no pg_hba.conf entry" in said:
        return True, "no pg_hba.conf entry for it"
    return False, "it was asked to log in" if kind == "R" else said


def _wrong_password(site: Site, app: Machine) -> tuple[bool, str]:
    name = site.scenario.application.database
    where = f"-h {site.scenario.database_address}"
    where += f" -p {site.scenario.ports['database']}"
    text = site.run(
        app.name,
        f"PGPASSWORD=wrong PGCONNECT_TIMEOUT=5 psql -Xw {where} -U {name} -c 'SELECT 1'",
    )
    refused = "password authentication failed" in text
    last = (text.strip().splitlines() or ["no answer"])[-1]
    return refused, f"{app.name}: " + ("password authentication failed" if refused else last)


def _scram(site: Site) -> tuple[bool, str]:
    role = site.scenario.application.database
    # Only its first letters leave the machine.
    sql = f"SELECT left(rolpassword, 13) FROM pg_authid WHERE rolname = '{role}'"
    answer = _query(site, sql)
    return answer == "SCRAM-SHA-256", f"role {role}: {answer or 'no password'}"
