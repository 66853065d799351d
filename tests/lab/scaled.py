"""What the scaling tests look at: that users noticed nothing, and what is left of a server."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from fabfile.scenario import Scenario, inventory_file, load
from fabfile.scenario.inventory import Inventory
from tests.lab import places
from tests.lab.commands import wait_for
from tests.lab.lab import Lab
from tests.lab.traffic import Traffic, traffic

SOCKET = "socat -t 5 stdio /run/haproxy/admin.sock"


def current() -> Scenario:
    """Return the scenario as it is now, with the servers that were added."""
    return load(places.CONFIG)


def apps() -> list[str]:
    """Return the names of the app servers there are now."""
    return [machine.name for machine in current().tier("app")]


def restore(lab: Lab) -> None:
    """Have the servers of config.py and no other, none in maintenance, and all of them up."""
    described = {machine.name for machine in load(places.CONFIG, Inventory()).tier("app")}
    half_added = {name for name in machines(lab) if re.fullmatch(r"s\d+", name)}
    for name in ({*apps()} | half_added) - described:
        lab.invoke("remove-server", "--name", name)
    for name in described - {*apps()}:
        lab.invoke("add-server", "--name", name)
    for name in current().inventory.maintenance:
        lab.invoke("maintenance", "--server", name, "off")
    wait_for("all servers up", lambda: {*statuses(lab).values()} == {"UP"})


@contextmanager
def unnoticed(what: str) -> Iterator[Traffic]:
    """Have users ask during the block: every answer is right, and every write can be read."""
    with traffic(current()) as running:
        yield running
    report = running.report
    print(f"\n{what}: {report}\n    {dict(sorted(report.servers.items()))}")
    assert not report.errors, report.errors[:10]
    assert report.written and not report.lost and not report.errors_after, report


def statuses(lab: Lab) -> dict[str, str]:
    """Return how HAProxy sees each server: UP, DOWN, DRAIN or MAINT."""
    rows = lab.do("lb", f"echo 'show stat' | {SOCKET}").splitlines()
    fields = [row.split(",") for row in rows if row.startswith("app,")]
    return {field[1]: field[17] for field in fields if field[1] != "BACKEND"}


def assert_file_and_process_agree(lab: Lab) -> None:
    """Compare haproxy.cfg with what the running HAProxy knows: servers, checks, limits."""
    file = lab.do("lb", "cat /etc/haproxy/haproxy.cfg")
    told = {
        name: (address, "disabled" in rest, *re.findall(r"(?:fall|rise) (\d+)", rest))
        for name, address, rest in re.findall(r"^    server (\S+) (\S+)(.*)$", file, re.M)
    }
    states = lab.do("lb", f"echo 'show servers state app' | {SOCKET}").splitlines()[2:]
    running = {}
    for fields in (line.split() for line in states if line):
        assert not int(fields[6]) & 0x08, f"{fields[3]} is drained: {fields}"
        running[fields[3]] = (f"{fields[4]}:{fields[18]}", bool(int(fields[6]) & 0x01))
    rows = lab.do("lb", f"echo 'show stat' | {SOCKET}").splitlines()
    names = rows[0].removeprefix("# ").split(",")
    for row in rows[1:]:
        stat = dict(zip(names, row.split(","), strict=False))
        if stat.get("pxname") == "app" and stat["svname"] != "BACKEND":
            # A server that rests is not checked, and says nothing of how it would be.
            checks = (stat["check_fall"], stat["check_rise"])
            rests = running[stat["svname"]][1]
            running[stat["svname"]] += told[stat["svname"]][2:] if rests else checks
    assert running == told
    limit = re.search(r"^    maxconn (\d+)$", file, re.M)[1]
    assert f"\nMaxconn: {limit}\n" in lab.do("lb", f"echo 'show info' | {SOCKET}")


def traces(lab: Lab, name: str) -> list[str]:
    """Return where something of a server s<n> is left."""
    number = 10 + int(name[1:])
    inventory = inventory_file(places.STATE)
    lan3, lan4, management = (
        str(lab.scenario.networks[network].network_address + number)
        for network in ("lan3", "lan4", "management")
    )
    found = {
        "haproxy.cfg": (lab.do("lb", "cat /etc/haproxy/haproxy.cfg"), f"server {name} "),
        "HAProxy": (lab.do("lb", f"echo 'show servers state app' | {SOCKET}"), f" {lan3} "),
        "pg_hba": (lab.do("bbdd", "cat /etc/postgresql/*/main/pg_hba.conf"), f"{lan4}/"),
        "pooler": (lab.do("bbdd", "cat /etc/pgbouncer/hba.conf"), f"{lan4}/"),
        "auth.allow": (lab.do("nas1", "cat /var/lib/glusterd/vols/nas/info"), lan4),
        "/etc/hosts": (lab.do("s1", "cat /etc/hosts"), f" {name}\n"),
        "known_hosts": (current().machine("s1").login.known_hosts.read_text(), management + " "),
        "inventory": (inventory.read_text() if inventory.exists() else "", f'"{name}"'),
        "lab": (str(machines(lab)), f"'{name}'"),
    }
    return [where for where, (text, trace) in found.items() if trace in text]


def machines(lab: Lab) -> list[str]:
    """Return the names of the lab's containers."""
    return sorted(path.name for path in (lab.scenario.lab.directory / "machines").iterdir())
