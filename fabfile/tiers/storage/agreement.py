"""etcd on three storage servers: what the databases of a pair agree by who is the primary.

Any two of the three are enough. Only machines with a certificate of the scenario's authority have
a say. See etcd's documentation, "Clustering guide" and "Transport security model".
"""

from __future__ import annotations

from pathlib import Path

from fabfile.engine.change import Resource
from fabfile.engine.resources import Packages, Port, Run, Service
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.app.health import works
from fabfile.tiers.storage import repository
from fabfile.tiers.templates import template

UNIT = "etcd.service"
NAME = OWNER = "etcd"
SETTINGS = "/etc/default/etcd"
DIRECTORY = "/var/lib/etcd/agreement"
# There while a member joins again whose disk was lost.
AGAIN = "/etc/crm-deployer/etcd-again"
CLIENTS, PEERS = 2379, 2380
MEMBERS = 3
LIBRARY = Path(__file__).with_suffix(".sh").read_text()


def members(scenario: Scenario) -> tuple[Machine, ...]:
    """Return the storage servers that are its members; none where there is one database."""
    return scenario.tier("storage")[:MEMBERS] if scenario.paired("database") else ()


def endpoints(scenario: Scenario, machine: Machine) -> list[str]:
    """Return where a machine finds it: address and port of each member."""
    return [f"{scenario.address(each, seen_by=machine)}:{CLIENTS}" for each in members(scenario)]


def client(scenario: Scenario, machine: Machine, name: str) -> str:
    """Return shell variables for etcdctl, with the certificate that a machine has by that name."""
    files = repository.tls(name)
    variables = {
        "ETCDCTL_API": "3",
        "ETCDCTL_ENDPOINTS": ",".join(f"https://{at}" for at in endpoints(scenario, machine)),
        "ETCDCTL_CACERT": files["authority"],
        "ETCDCTL_CERT": files["certificate"],
        "ETCDCTL_KEY": files["key"],
    }
    return f"export {' '.join(f'{name}={value}' for name, value in variables.items())}\n"


def left(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say that nothing of it is left where nobody needs it, once no database goes by it."""
    if machine in members(scenario):
        return []
    return [
        Run(
            "remove the databases' agreement",
            f"systemctl -q disable --now {UNIT}\nrm -rf {SETTINGS} {AGAIN} {DIRECTORY}",
            unless=f"[ ! -e {DIRECTORY} ]",
        )
    ]


def desired(scenario: Scenario, machine: Machine) -> list[Resource]:
    """Say what a storage server has of it: a member where databases need it."""
    if machine not in members(scenario):
        return []
    known = {each.name: scenario.address(each, seen_by=machine) for each in members(scenario)}
    files = repository.credentials(scenario, machine, NAME, OWNER)
    settings = template(
        SETTINGS,
        name=machine.name,
        members=known,
        client_port=CLIENTS,
        peer_port=PEERS,
        directory=DIRECTORY,
        token=scenario.name,
        **repository.tls(NAME),
    )
    order = template(f"/etc/systemd/system/{UNIT}.d/crm.conf", again=AGAIN)
    functions = f"{client(scenario, machine, NAME)}{LIBRARY}"
    again = Run(
        "join the databases' agreement again",
        f"{functions}join_again {machine.name} {known[machine.name]} {PEERS} {AGAIN}",
        # Of a disk that is new, while the others know this member.
        unless=f"{functions}[ -e {DIRECTORY}/member ] || ! knows {machine.name}",
    )
    return [
        Port(CLIENTS, (UNIT,)),
        Port(PEERS, (UNIT,)),
        Packages("etcd-server", "etcd-client"),
        *files,
        order,
        settings,
        again,
        Service(
            UNIT,
            # The authority's certificate is written for the backups, too, in a later stage.
            restart=(order.key, settings.key, again.key, *(each.key for each in files[1:])),
            alive=works("$main_pid"),
            limit=120,
        ),
    ]
