"""PgBouncer before PostgreSQL: the connections of all app servers come by it, on the same machine.

It knows of passwords what PostgreSQL stores of them (SCRAM-SHA-256), and logs in there with what a
client has proved to it. What needs a session of PostgreSQL's own goes past it: migrations, locks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from fabfile.engine.change import Change, Resource
from fabfile.engine.resources import File, Never, Port, Service
from fabfile.engine.survey import Survey
from fabfile.scenario import Machine, Scenario
from fabfile.scenario.credentials import scram_verifier
from fabfile.scenario.flows import sources
from fabfile.tiers.app.health import works
from fabfile.tiers.database import cluster, limits, way
from fabfile.tiers.templates import render, template

SHELL = Path(__file__).with_suffix(".sh").read_text()
UNIT = "pgbouncer.service"
DIRECTORY = "/etc/pgbouncer"
CONFIGURATION, ACCESS = f"{DIRECTORY}/pgbouncer.ini", f"{DIRECTORY}/hba.conf"
USERS = f"{DIRECTORY}/userlist.txt"
OWNER = "postgres"
# Of PostgreSQL, and of the pooler: Debian's place for both.
SOCKET = "/run/postgresql"
# Of earlier versions, transactions of several clients lose what these have prepared.
PREPARES = (1, 21)
DATABASE = ("host", "port", "pool_mode", "pool_size")
ENTRY = re.compile(r"^(\w+) = (.*)$", re.MULTILINE)
# What a table of its console begins with, and what stands between the file's facts and these.
TABLES = ("key|value|", "name|host|", "type|user|")
MARK = "console of the pooler"


def library(scenario: Scenario) -> str:
    """Return the shell functions for it, behind those for the cluster."""
    return f"{cluster.library(scenario)}pool={scenario.ports['pool']}\n{SHELL}"


def variables(scenario: Scenario, past: bool = False) -> dict[str, str]:
    """Return how an application finds its database: as a URL, and in parts as libpq reads them.

    `past` the pooler is for what needs a session of PostgreSQL's own.
    """
    role, password = scenario.application.database, scenario.secret("database_password")
    host, port = scenario.database_address, scenario.ports["database" if past else "pool"]
    return {
        "DATABASE_URL": f"postgresql://{role}:{password}@{host}:{port}/{role}",
        "PGHOST": host,
        "PGPORT": str(port),
        "PGUSER": role,
        "PGPASSWORD": password,
        "PGDATABASE": role,
    }


def servers(scenario: Scenario, machine: Machine) -> dict[str, str]:
    """Return name -> address of the app servers, as the database server sees them."""
    return {
        app.name: scenario.address(app, seen_by=machine)
        for tier in sources("database", "pool")
        for app in scenario.tier(tier)
    }


def verifier(scenario: Scenario, role: str) -> str:
    """Return what PostgreSQL and the pooler store of the password of an application's role."""
    return scram_verifier(scenario.secret("database_password"), role)


def beforehand(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what must hold before anything is changed: its port is free, and it can do its work."""
    port = scenario.ports["pool"]
    release, application = scenario.debian(machine), scenario.application
    remedy = f" or choose another port: PORTS in {scenario.source.name}"
    found: list[Resource] = [Port(port, (UNIT,), remedy, socket=f"{SOCKET}/.s.PGSQL.{port}")]
    if application.pool == "transaction" and release.pgbouncer < PREPARES:
        version = ".".join(map(str, release.pgbouncer))
        sentence = (
            f"{application.name} has 'pool': 'transaction', and what drivers prepare is lost by "
            f"it in PgBouncer {version} of {release.title}: give this machine Debian 13, or take "
            f"that out of {scenario.source.name}"
        )
        found.append(Never("true", sentence))
    return found


def desired(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what the pooler looks like, before a PostgreSQL that runs or does not."""
    release = scenario.debian(machine)
    port, addresses = scenario.ports["pool"], cluster.reached(scenario, machine)
    names = sorted(application.database for application in scenario.applications)
    order = template(
        f"/etc/systemd/system/{UNIT}.d/crm.conf",
        addresses=addresses,
        port=port,
        files=limits.FILES,
        version=release.pgbouncer,
    )
    # All of them: the application that ran before serves until the next one does.
    access = template(
        ACCESS,
        mode=0o640,
        owner=OWNER,
        group=OWNER,
        names=names,
        servers=servers(scenario, machine).values(),
    )
    users = template(
        USERS,
        mode=0o600,
        owner=OWNER,
        group=OWNER,
        secret=True,
        users={name: verifier(scenario, name) for name in names},
    )
    settings = _settings(scenario, machine)
    listens = " && ".join(f"ss -Hltn 'src = {each}:{port}' | grep -q ." for each in addresses)
    return [
        order,
        access,
        users,
        settings,
        Service(
            UNIT,
            restart=(order.key, settings.restart_key),
            reload=(access.key, users.key, settings.key),
            ready=f"{{ {listens}; }}",
            alive=works("$main_pid"),
        ),
    ]


def shown(scenario: Scenario, machine: Machine) -> str:
    """Return shell that prints how busy it is, and how many connections each server has with it."""
    pairs = [f"{name}={address}" for name, address in servers(scenario, machine).items()]
    return f"{library(scenario)}pool_shown {' '.join(pairs)}\n"


def _settings(scenario: Scenario, machine: Machine) -> Configuration:
    applications, count = scenario.applications, len(scenario.tier("app"))
    shares = any(each.pool == "transaction" for each in applications)

    def content(shared: int) -> str:
        databases = [
            {
                "name": each.database,
                "mode": each.pool,
                "size": limits.pool_size(each, count, applications, shared),
            }
            for each in applications
        ]
        return render(
            CONFIGURATION,
            databases=sorted(databases, key=lambda each: str(each["name"])),
            socket=SOCKET,
            server=way.SOCKET if scenario.paired("database") else SOCKET,
            sql=scenario.ports["database"],
            addresses=cluster.reached(scenario, machine),
            port=scenario.ports["pool"],
            access=ACCESS,
            users=USERS,
            clients=limits.clients(count, applications),
            tells_apart=not shares,
            version=scenario.debian(machine).pgbouncer,
        )

    return Configuration(content, shares, library(scenario))


@dataclass(frozen=True)
class Configuration:
    """The pooler's settings: its file, and what holds in the process that runs.

    `content` answers the file, given how many connections PostgreSQL can take that are given back
    behind each transaction, which follows from the machine where it `shares` any.
    """

    content: Callable[[int], str]
    shares: bool
    library: str
    key: str = CONFIGURATION

    @property
    def restart_key(self) -> str:
        """The name of a change that holds after a restart only."""
        return f"{self.key} (restart)"

    def _file(self, shared: int = 0) -> File:
        return File(CONFIGURATION, self.content(shared), 0o640, OWNER, OWNER)

    @property
    def surveys(self) -> Sequence[tuple[Survey, str]]:
        """What its probe reads."""
        return self._file().surveys

    def probe(self) -> str:
        """Print cores and KiB of memory, what a file's probe does, and what the console says."""
        machine = 'read -r _ memory _ </proc/meminfo; echo "$(nproc) $memory"'
        asked = "printf 'SHOW CONFIG;\\nSHOW DATABASES;\\n' | ask_pooler"
        return (
            f"{machine if self.shares else 'echo 0 0'}\n{self._file().probe()}\necho\n"
            f"echo '{MARK}'\n{self.library}{asked}"
        )

    def plan(self, facts: str, changed: Set[str]) -> Change | None:
        """Write the file if it differs, or have what it says hold."""
        machine, _, rest = facts.partition("\n")
        facts_of_file, _, console = rest.partition(f"\n{MARK}\n")
        cores, kibibytes = map(int, machine.split())
        file = self._file(limits.shared(cores, kibibytes // 1024))
        wrong, at_start = _differing(file.content, console)
        key = self.restart_key if at_start else self.key
        if change := file.plan(facts_of_file, changed):
            return replace(change, key=key)
        if not wrong:
            return None
        said = ", ".join(f"{name} = {now}" for name, now in wrong.items())
        return Change(key, f"have the pooler hold what its file says, in place of {said}", ":")


def _differing(content: str, console: str) -> tuple[dict[str, str], bool]:
    """Return name -> value of what holds in the process, where it is not what the file has.

    And whether any of that holds from the start of the process only.
    """
    tables = read(console)
    settings = {row["key"]: row for row in tables.get("key", ())}
    held = {name: row["value"] for name, row in settings.items()}
    held |= {
        row["name"]: " ".join(f"{name}={row[name]}" for name in DATABASE)
        for row in tables.get("name", ())
    }
    wanted = dict(ENTRY.findall(content))
    wrong = {name: held[name] for name in wanted if held.get(name, wanted[name]) != wanted[name]}
    return wrong, any(settings.get(name, {}).get("changeable") == "no" for name in wrong)


def read(console: str) -> Mapping[str, list[dict[str, str]]]:
    """Return the tables that the console has printed, each by the name of its first column."""
    tables: dict[str, list[dict[str, str]]] = {}
    names: list[str] = []
    for line in console.splitlines():
        if line.startswith(TABLES):
            names = line.split("|")
            tables[names[0]] = []
        elif names:
            tables[names[0]].append(dict(zip(names, line.split("|"), strict=False)))
    return tables
