"""Database: each app server gets in by the pooler, and nobody else; the data is there."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from fabfile.engine.remote import Remote
from fabfile.engine.waiting import wait_until
from fabfile.scenario import Machine
from fabfile.tiers.database import copying, members, pooling, scratch, sqlite, standing
from fabfile.verify.check import Check, Site, judged

if TYPE_CHECKING:
    from fabfile.tiers.database.programs import login, startup

# By Debian's name of the cluster: it asks its own settings for the port, whoever else has the usual
# one. Of several versions the latest.
CLUSTER = '$(pg_lsclusters -h | awk \'$2 == "main" { print $1 "/" $2 }\' | tail -n 1)'
PROGRAMS = Path(__file__).parent / "programs"
# PostgreSQL tries three times, a second apart, and after that each minute.
ARCHIVE_SECONDS = 20
# It is due each week.
COMPARED_SECONDS = 9 * 24 * 3600
# What PostgreSQL and the pooler, of several versions, say to who has no business there, and to who
# does not know the password.
NO_ENTRY = ("no pg_hba.conf entry", "no authentication method is found", "login rejected")
NO_PASSWORD = ("password authentication failed", "SASL authentication failed")
PORTS = ("pool", "database")
# "psql - 10.1.4.11:43210": see application_name_add_host in pgbouncer.ini(5).
COMES_FROM = re.compile(r" - (.*):\d+$")


def checks(site: Site) -> list[Check]:
    """Check who is connected to the database, who is refused, and how the password is kept."""
    # Asked once, of all app servers.
    console = cache(partial(pooling.console, site))
    connected = [
        judged(
            f"database: {app.name} gets in as the application, from {_seen(site, app)}",
            partial(_gets_in, site, app, console),
        )
        for app in site.scenario.present("app")
    ]
    app = site.first("app")
    strangers = [
        judged(
            f"database: refused from {stranger.name}",
            partial(_at_both, site, partial(_refused, site, stranger)),
        )
        for stranger in _strangers(site)
    ]
    return [
        *connected,
        *strangers,
        *standing.checks(site),
        judged(
            "database: all that the servers may open has room in pooler and PostgreSQL",
            lambda: pooling.fits(site, console(), partial(_query, site)),
        ),
        judged(
            "database: refused with a wrong password",
            lambda: _at_both(site, partial(_wrong_password, site, app)),
        ),
        judged("database: the password is stored as SCRAM-SHA-256", lambda: _scram(site)),
        *(
            [judged("database: it holds tables of the application", lambda: _tables(site))]
            if site.scenario.application.migrate
            else []
        ),
        judged("database: the application keeps no data in SQLite", lambda: sqlite.none(site)),
        *(
            [
                judged("backups: what is written now is kept", lambda: _archived(site)),
                judged("backups: what is kept is what was written", lambda: _compared(site)),
            ]
            if copying.is_backed_up(site.scenario)
            else []
        ),
    ]


def _strangers(site: Site) -> list[Machine]:
    """Return a machine that has no business with the database, storage first; none has to be."""
    storage = site.scenario.tier("storage")
    known = {"app", "database"}
    others = [each for each in (*storage, *site.scenario.inside) if not known & {*each.tiers}]
    there = [each for each in others if isinstance(site.remotes.get(each.name), Remote)]
    return (there or others)[:1]


def _query(site: Site, sql: str, database: str = "postgres") -> str:
    machine = members.seen(site).name
    psql = f'psql --cluster "{CLUSTER}" -d {database}'
    return site.run(machine, f'cd / && runuser -u postgres -- {psql} -XAt -c "{sql}"').strip()


def _seen(site: Site, app: Machine) -> str:
    """Return the address that an app server comes from, as the database sees it."""
    return site.scenario.address(app, seen_by=site.first("database"))


def _gets_in(site: Site, app: Machine, console: Callable[[], pooling.Console]) -> tuple[bool, str]:
    """Tell whether the application is connected, or can be: not each one stays so all the time."""
    application = site.scenario.application
    unit: login.Given = {"unit": f"{application.name}.service"}
    role, past, name = site.program(app.name, PROGRAMS / "login.py", unit, 15)
    # Of a pair, any of its machines leads to the primary.
    ways = [site.scenario.address(each, seen_by=app) for each in site.scenario.tier("database")]
    if past and not (site.scenario.paired("database") and past in ways):
        return False, f"it logs in as {role} from {past}, past the pooler"
    found = COMES_FROM.search(name)
    # Where the pooler does not tell, it is its list of addresses that does.
    seen = found[1] if found else _seen(site, app)
    number = pooling.connections(console(), application.database)[_seen(site, app)]
    true = (role, seen) == (application.database, _seen(site, app))
    return true, f"it logs in as {role} from {seen}; {number} connections now"


def _tables(site: Site) -> tuple[bool, str]:
    """Count the tables that are not PostgreSQL's own, and not the deployer's."""
    name = site.scenario.application.database
    text = _query(
        site,
        "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN "
        "('pg_catalog', 'information_schema', 'deployer')",
        name,
    )
    return text.isdecimal() and text != "0", f"{text} tables in the database {name}"


def _at_both(site: Site, judge: Callable[[int], tuple[bool, str]]) -> tuple[bool, str]:
    """Judge what happens at the pooler's port and at PostgreSQL's."""
    answers = {site.scenario.ports[name]: judge(site.scenario.ports[name]) for name in PORTS}
    seen = "; ".join(f"port {port}: {said}" for port, (_, said) in answers.items())
    return all(ok for ok, _ in answers.values()), seen


def _refused(site: Site, stranger: Machine, port: int) -> tuple[bool, str]:
    given: startup.Given = {
        "address": site.scenario.database_address,
        "port": port,
        "user": site.scenario.application.database,
        "database": site.scenario.application.database,
    }
    kind, said = site.program(stranger.name, PROGRAMS / "startup.py", given)
    if not kind and site.scenario.guarded:
        return True, f"{said}: its own rules let in the app servers only"
    if not kind and site.scenario.paired("database") and port == site.scenario.ports["database"]:
        return True, said
    if any(words in said for words in NO_ENTRY):
        return True, "no entry for it"
    return False, "it was asked to log in" if kind == "R" else said


def _wrong_password(site: Site, app: Machine, port: int) -> tuple[bool, str]:
    name = site.scenario.application.database
    where = f"-h {site.scenario.database_address} -p {port}"
    text = site.run(
        app.name,
        f"PGPASSWORD=wrong PGCONNECT_TIMEOUT=5 psql -Xw {where} -U {name} -c 'SELECT 1'",
    )
    last = (text.strip().splitlines() or ["no answer"])[-1]
    refused = [words for words in NO_PASSWORD if words in text]
    return bool(refused), refused[0] if refused else last


def _archived(site: Site) -> tuple[bool, str]:
    """Have PostgreSQL hand over what it has written, and wait until the backups have it."""
    # It writes a few bytes that mean nothing: where nothing was written, nothing is handed over.
    # Somebody else may do that before the switch, which would name the next piece then.
    piece = _query(site, "SELECT pg_walfile_name(pg_create_restore_point('verify'))")
    _query(site, "SELECT pg_switch_wal()")
    begin = time.monotonic()
    told = (
        "SELECT coalesce(last_archived_wal, ''), failed_count, coalesce(last_failed_wal, '') "
        "FROM pg_stat_archiver"
    )
    seen: list[str] = []

    def kept(_left: float) -> bool:
        nonlocal seen
        seen = _query(site, told).split("|")
        return seen[0] >= piece

    if len(piece) == 24 and wait_until(kept, ARCHIVE_SECONDS, 0.5):
        return True, f"{piece} is, after {time.monotonic() - begin:.1f} s"
    if len(seen) != 3:
        return False, f"PostgreSQL says {piece} {' '.join(seen)}"
    return False, (
        f"{piece} is not after {ARCHIVE_SECONDS} s; the last one that is: {seen[0] or 'none'}; "
        f"failed {seen[1]} times, last for {seen[2] or 'none'}: see PostgreSQL's log (if the "
        "database was replaced by another one, 'invoke backup.now --anew' backs that up)"
    )


def _compared(site: Site) -> tuple[bool, str]:
    """Tell how the last comparison ended that was made by itself, or by a person."""
    text = site.run(members.seen(site).name, f"cat {scratch.RESULT} 2>/dev/null || :")
    when, code, said = (*text.strip().split(" ", 2), "", "", "")[:3]
    if not when:
        return True, "it was not compared yet: 'invoke backup.check' does so, and each week a timer"
    past = time.time() - int(when)
    return code == "0" and past < COMPARED_SECONDS, f"{past / 3600:.0f} h ago: {said}"


def _scram(site: Site) -> tuple[bool, str]:
    role = site.scenario.application.database
    # Only its first letters leave the machine.
    sql = f"SELECT left(rolpassword, 13) FROM pg_authid WHERE rolname = '{role}'"
    stored = _query(site, sql)
    kept = pooling.kept(site)
    seen = f"role {role}: {stored or 'no password'}; in the pooler: {', '.join(kept) or 'none'}"
    return {stored, *kept} == {"SCRAM-SHA-256"}, seen
