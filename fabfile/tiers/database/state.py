"""The database tier: PostgreSQL behind PgBouncer, which only the app servers can reach.

Both listen at the address that the app servers use and a local socket. The password stays on the
person's computer and the app servers; this machine gets what PostgreSQL stores of it.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from fabfile.engine.change import Change, Resource
from fabfile.engine.resources import File, Memory, Packages, Port, Run, Service
from fabfile.engine.survey import Survey
from fabfile.scenario import Application, Machine, Scenario
from fabfile.tiers import floating
from fabfile.tiers.app import health
from fabfile.tiers.database import copying, limits, pair, patroni, pooler, scratch, way
from fabfile.tiers.database import role as roles
from fabfile.tiers.database.cluster import library, own, unit_of
from fabfile.tiers.database.settings import Settings, query, wanted
from fabfile.tiers.neighbours import neighbours
from fabfile.tiers.storage import repository
from fabfile.tiers.templates import template
from fabfile.tiers.tier import View

# Of earlier versions: it was for other people's clusters, too.
OLD_SETTINGS = "/etc/systemd/system/postgresql@.service.d"
WARNING = "warning"


def desired(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what the database server looks like."""
    port = scenario.ports["database"]
    release, paired = scenario.debian(machine), scenario.paired("database")
    unit, cluster = unit_of(release), f"/etc/postgresql/{release.postgresql}/main"
    held = limits.held(*_crowd(scenario))
    settings = _settings(scenario, machine)
    holding = _holding(scenario, settings)
    access = template(
        f"{cluster}/pg_hba.conf",
        source="/etc/postgresql/main/pg_hba.conf",
        mode=0o640,
        owner="postgres",
        group="postgres",
        # All of them: the one that ran before serves until the next one does.
        names=sorted(application.database for application in scenario.applications),
        # Those of a pair are reached by each other: see way.py.
        servers=(pair.others if paired else pooler.servers)(scenario, machine).values(),
        members=pair.others(scenario, machine).values() if paired else (),
        replicator=patroni.REPLICATOR,
        rewinder=patroni.REWINDER,
    )
    order = template(
        f"/etc/systemd/system/{unit}.d/crm.conf",
        source="/etc/systemd/system/postgresql@main.service.d/crm.conf",
        version=release.postgresql,
    )
    return [
        neighbours(scenario, machine),
        Memory(
            held * limits.MEBIBYTES_EACH,
            f"for {held} connections: add memory, or lower 'connections' of the application",
        ),
        *pooler.beforehand(scenario, machine),
        Port(
            port,
            (unit, patroni.unit(scenario, machine), way.UNIT),
            f" or choose another port: PORTS in {scenario.source.name}",
            socket=f"/run/postgresql/.s.PGSQL.{port}",
        ),
        # Not "postgresql": of another archive than Debian's, that is another version.
        Packages(f"postgresql-{release.postgresql}", "pgbouncer"),
        Run(
            f"have the cluster {release.postgresql}/main",
            f"{library(scenario)}make_cluster",
            unless=f"{library(scenario)}has_cluster",
        ),
        *copying.beforehand(scenario, machine),
        *([_empty_cluster(scenario)] if scenario.new_database else []),
        Run(
            "remove an earlier version's settings for all clusters",
            f"rm -r {OLD_SETTINGS}/crm.conf && rmdir --ignore-fail-on-non-empty {OLD_SETTINGS}",
            unless=f"[ ! -e {OLD_SETTINGS}/crm.conf ]",
        ),
        *([patroni.alone(scenario), patroni.left(scenario, machine)] if not paired else []),
        order,
        *(pair.files(scenario, machine) if paired else []),
        settings,
        access,
        holding,
        *([_own_number(scenario)] if scenario.new_database else []),
        *(
            pair.running(scenario, machine, (settings.key, access.key), holding)
            if paired
            else [
                Service(
                    unit,
                    restart=(settings.key, order.key, holding.restart_key),
                    reload=(access.key, holding.key),
                    ready=f"{library(scenario)}echo 'SELECT;' | ask",
                    alive=health.works("$main_pid"),
                )
            ]
        ),
        *copying.copied(scenario, machine),
        *scratch.compared(scenario, machine),
        *([pair.roles(scenario, holding.survey)] if paired else []),
        _set_up(scenario),
        _database(scenario),
        *way.desired(scenario, machine),
        *way.beforehand(scenario, machine),
        *pooler.desired(scenario, machine),
        *way.addressed(scenario, machine),
    ]


def settled(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say that PostgreSQL of a pair was restarted for its settings; one alone does so at once."""
    if not scenario.paired("database"):
        return []
    return [pair.settled(scenario, machine, _holding(scenario, _settings(scenario, machine)))]


def _holding(scenario: Scenario, settings: File) -> Settings:
    values = wanted(settings.content)
    return Settings(settings.path, values, _inventory(scenario), library(scenario))


def prepared(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what the database server has before its cluster comes from the backups."""
    runs = {f"service {unit_of(scenario.debian(machine))}"}
    made = {_set_up(scenario).key, _database(scenario).key}
    return [each for each in desired(scenario, machine) if each.key not in runs | made]


def _crowd(scenario: Scenario) -> tuple[int, Sequence[Application]]:
    """Return how many app servers there are, and the applications that they may run."""
    return len(scenario.tier("app")), scenario.applications


def _settings(scenario: Scenario, machine: Machine) -> File:
    version = scenario.debian(machine).postgresql
    return template(
        f"/etc/postgresql/{version}/main/conf.d/crm.conf",
        source="/etc/postgresql/main/conf.d/crm.conf",
        owner="postgres",
        group="postgres",
        machine=machine,
        addresses=own(scenario, machine),
        tls=repository.tls(patroni.NAME) if scenario.paired("database") else None,
        port=scenario.ports["database"],
        connections=limits.max_connections(*_crowd(scenario)),
        archive=copying.ARCHIVE if copying.is_backed_up(scenario) else "",
    )


def _inventory(scenario: Scenario) -> Survey:
    """Return what tells of the application's role and database, and of settings that are wrong."""
    machine, *_ = scenario.tier("database")
    settings = _settings(scenario, machine)
    values = wanted(settings.content)
    queries = [
        roles.told(*_role(scenario)),
        f"SELECT 'database' WHERE EXISTS ({_database_is(scenario)});",
        pair.told(scenario),
    ]
    otherwise = f"written {' '.join(values)}"
    all_of_it = [*queries, query(settings.path, values)]
    asked = _sql(scenario, "\n".join(all_of_it), otherwise)
    if not scenario.paired("database"):
        # What Patroni has set stays as it is until it gives the cluster back.
        less = _sql(scenario, "\n".join(queries))
        asked = f"if [ -e {patroni.MARK} ]; then\n{less}else\n{asked}fi"
    return Survey("inventory", asked)


def _role(scenario: Scenario) -> tuple[str, str]:
    """Return the name of the application's role, and what PostgreSQL stores of its password."""
    role = scenario.application.database
    return role, pooler.verifier(scenario, role)


def _database_is(scenario: Scenario) -> str:
    return f"SELECT FROM pg_database WHERE datname = '{scenario.application.database}'"


def view(scenario: Scenario, machine: Machine) -> View:
    """Return what `status` shows of the database server: the connections of each app server."""
    shared = floating.view(scenario, machine, "database")
    if scenario.paired("database"):
        units = [patroni.unit(scenario, machine), way.UNIT, pooler.UNIT, *shared.units]
    else:
        units = [unit_of(scenario.debian(machine)), pooler.UNIT]
    shell = _sql(scenario, pair.TOLD) if scenario.paired("database") else ""
    shell += f"{shared.shell}\n"
    shell += pooler.shown(scenario, machine)
    if copying.is_backed_up(scenario):
        units += [repository.COPYING_UNIT, scratch.TIMER]
        shell += _sql(scenario, copying.TOLD)
    return View(tuple(units), shell)


def _set_up(scenario: Scenario) -> Run:
    role, verifier = _role(scenario)
    return roles.Role(
        f"set up the database role {role}",
        _sql(scenario, roles.set_up(role, verifier)),
        unless=_holds(scenario, roles.is_right(role, verifier)),
        told=(_inventory(scenario), "role"),
    )


def search(scenario: Scenario) -> str:
    """Return the key of the change that makes the database if it is not found."""
    return f"find or create the database {scenario.application.database}"


def creation(scenario: Scenario) -> str:
    """Return the key of the change that makes the application's database, an empty one."""
    return f"create the database {scenario.application.database}"


@dataclass(frozen=True)
class Database(Run):
    """The application's database. One that cannot be asked now is made if it turns out missing.

    That change, whose key is `search`, fails with the text of its file WARNING instead, when it is
    given one. `tell` is shell that prints `done` or `unknown`, for when it was not there at first.
    """

    search: str = ""
    tell: str = ""

    def probe(self) -> str:
        """Print `done` when it is there, `unknown` when there is a cluster that does not answer."""
        return f"if {{ {self.is_done}\n}} >&2; then echo done; else\n{self.tell}\nfi"

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Make the database where there is none."""
        if "unknown" not in facts.splitlines():
            return super().plan(facts, changed)
        warned = f'[ ! -s "$payload/{WARNING}" ] || {{ cat "$payload/{WARNING}"; exit 1; }}\n'
        change = self.change()
        script = f"{{ {self.unless}\n}} || {{ {warned}}}\n{change.script}"
        return replace(change, key=self.search, summary=self.search, script=script)


def _empty_cluster(scenario: Scenario) -> Run:
    return Run(
        "make the cluster's data",
        f"{library(scenario)}make_data",
        unless=f"{library(scenario)}has_data",
    )


def _own_number(scenario: Scenario) -> Run:
    """Return what gives a new database's cluster a number of its own, so that it can be kept."""
    functions = library(scenario)
    return Run(
        "begin with another cluster than that of the backups",
        f"{functions}begin_anew",
        # What tells that is not on a new machine yet, when it is looked at.
        unless=f"{functions}! is_twin {copying.ARCHIVE}",
        told=(Survey("used", f"{functions}has_data && ! is_empty && echo used"), "used"),
    )


def _database(scenario: Scenario) -> Run:
    database = scenario.application.database
    return Database(
        creation(scenario),
        _sql(
            scenario,
            f'CREATE DATABASE "{database}" OWNER "{database}" TEMPLATE template0 '
            "ENCODING 'UTF8' LOCALE 'C.UTF-8';",
        )
        + _sql(scenario, f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC;'),
        unless=_holds(scenario, _database_is(scenario)),
        told=(_inventory(scenario), "database"),
        tell=f"{library(scenario)}tell <<'SQL'\nSELECT EXISTS ({_database_is(scenario)});\nSQL\n",
        search=search(scenario),
    )


def _sql(scenario: Scenario, statements: str, otherwise: str = "") -> str:
    """Return shell that runs statements as PostgreSQL's administrator, given on standard input.

    `otherwise` is run when that fails.
    """
    more = f" || {otherwise}" if otherwise else ""
    return f"{library(scenario)}ask <<'SQL'{more}\n{statements}\nSQL\n"


def _holds(scenario: Scenario, query: str) -> str:
    """Return a shell condition: the query finds a row."""
    return f'[ "$({_sql(scenario, f"SELECT 1 WHERE EXISTS ({query});")})" = 1 ]'
