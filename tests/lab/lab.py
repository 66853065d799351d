"""The lab of the tests, used as a person does: by its command line, its logins and its browser."""

import copy
import json
import os
import re
import sys
from pathlib import Path

import requests
import testinfra
from testinfra.host import Host

from fabfile.scenario import Scenario, load
from tests.lab import places
from tests.lab.commands import Done, as_root, run, wait_for
from tests.lab.person import Person

BIN = Path(sys.prefix) / "bin"
SSH_CONFIG = """\
Host *
    IdentityFile {key}
    IdentitiesOnly yes
    UserKnownHostsFile {known_hosts}
    StrictHostKeyChecking yes
    User deploy
    ConnectTimeout 2
    # A machine that was taken away is noticed within seconds, and one connection serves all.
    ServerAliveInterval 1
    ServerAliveCountMax 3
    ControlMaster auto
    ControlPersist 20
    ControlPath {sockets}/%n
    LogLevel ERROR
"""
# What deploy writes, what is installed, and which release runs: the same on prepared and bare.
STATE = """
for file in /etc/fw/fw.fw /etc/haproxy/haproxy.cfg /etc/haproxy/errors/crm-503.http \
    /etc/crm-deployer/* /etc/systemd/system/*.service /etc/systemd/system/*.mount \
    /etc/systemd/system/*.timer /etc/systemd/system/*.d/crm.conf /usr/local/lib/crm-deployer/* \
    /etc/sysctl.d/60-* /etc/postgresql/*/main/pg_hba.conf /etc/postgresql/*/main/conf.d/* \
    /etc/pgbouncer/*; do
    [ ! -f "$file" ] || echo "$file $(stat -c '%a %U %G' "$file") $(sha256sum < "$file")"
done
readlink /srv/crm/current || :
dpkg-query -W -f '${binary:Package} ${Version} ${db:Status-Abbrev}\\n'
"""
LINE = re.compile(r"^(\S+) +\((\w+)\): (.+)$", re.M)


class Lab:
    """The deployed scenario, the person's commands for it, and ways to look at it."""

    def __init__(self, directory: Path) -> None:
        """Write the scenario, and in a directory of their own the settings to log in with."""
        self._entries = places.write_scenario()
        self.scenario: Scenario = load(places.CONFIG)
        for machine in self.scenario.machines:
            # The tests break machines on purpose: be sure that they are ours.
            assert not machine.login or machine.login.host.startswith(places.MANAGEMENT), machine
        self.ssh_config = directory / "config"
        text = SSH_CONFIG.format(
            key=places.STATE / "id_ed25519",
            known_hosts=places.STATE / "known_hosts",
            sockets=directory,
        )
        for machine in self.scenario.machines:
            text += f"Host {machine.name}\n    HostName {machine.management}\n"
        self.ssh_config.write_text(text)
        self.hosts: dict[str, Host] = {}
        # What the first deployment made of machines that started from prepared images.
        self.prepared: dict[str, str] = {}

    @property
    def names(self) -> list[str]:
        """Every machine that is a container."""
        return [machine.name for machine in self.scenario.machines if machine.login]

    @property
    def apps(self) -> list[str]:
        """The app servers."""
        return [machine.name for machine in self.scenario.tier("app")]

    @property
    def entries(self) -> dict:
        """The entries of the scenario, to change at will and write elsewhere."""
        return copy.deepcopy(self._entries)

    def environment(self, config: Path = places.CONFIG, **more: str) -> dict[str, str]:
        """Return the environment of a person who uses that scenario."""
        own = {name: text for name, text in os.environ.items() if not name.startswith("CRM_")}
        return {**own, "CRM_CONFIG": str(config), "COLUMNS": "200", **more}

    def fab(
        self, *words: str, limit: float = 300, code: int | None = 0, config: Path = places.CONFIG
    ) -> Done:
        """Run `fab` on this scenario."""
        environment = self.environment(config)
        return run(BIN / "fab", *words, limit=limit, code=code, environment=environment)

    def invoke(
        self, *words: str, limit: float = 300, code: int | None = 0, config: Path = places.CONFIG
    ) -> Done:
        """Run `invoke` on this scenario."""
        environment = self.environment(config)
        return run(BIN / "invoke", *words, limit=limit, code=code, environment=environment)

    def checks(self, code: int | None) -> tuple[bool, list[dict]]:
        """Return what `verify --json` says, in all and of each check; it ends with that code."""
        answer = json.loads(self.invoke("verify", "--json", limit=150, code=code).out)
        return answer["ok"], answer["checks"]

    def planned(self) -> list[tuple[str, str]]:
        """Return what `fab plan` would change: machine and action of each change."""
        done = self.fab("plan", code=None)
        assert done.code in (0, 2), done.text
        return [(machine, action) for machine, _, action in LINE.findall(done.out)]

    def await_seen(self, seconds: float = 30) -> None:
        """Wait until HAProxy sees the servers that it has given up for a while."""
        states = "echo 'show stat' | socat -t 5 stdio /run/haproxy/admin.sock"
        wait_for(
            "HAProxy to see all servers up", lambda: "DOWN" not in self.do("lb", states), seconds
        )

    def assert_nothing_to_do(self) -> None:
        """Deploy once more: all machines must be as they should be."""
        self.await_seen()
        done = self.fab("deploy")
        assert "0 changes" in done.out, f"there was something to change:\n{done.text}"

    def host(self, name: str) -> Host:
        """Return a machine, to look at by testinfra as root."""
        if name not in self.hosts:
            spec = f"ssh://{name}?ssh_config={self.ssh_config}&sudo=true"
            self.hosts[name] = testinfra.get_host(spec)
        return self.hosts[name]

    def do(self, name: str, script: str, limit: float = 60, code: int | None = 0) -> str:
        """Run a script on a machine as root, given on standard input; answer its output."""
        ssh = ("ssh", "-F", self.ssh_config, name, "sudo -n sh -eu")
        return run(*ssh, stdin=script, limit=limit, code=code).out

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Ask the scenario's PostgreSQL as its administrator; answer what it prints."""
        psql = f"psql --cluster {places.VERSION}/main -qAtX -v ON_ERROR_STOP=1 -d {database}"
        script = f"cd / && runuser -u postgres -- {psql} <<'SQL'\n{statement}\nSQL"
        return self.do("bbdd", script).strip()

    def address(self, name: str, network: str) -> str:
        """Return the address of a machine on a network."""
        return str(self.scenario.machine(name).addresses[network])

    def state(self) -> dict[str, str]:
        """Return what deploy has made of each machine."""
        return {name: self.do(name, STATE) for name in self.names}

    def in_image(self, name: str, path: str) -> bytes:
        """Return what the image of a machine holds at a path."""
        record = self.scenario.lab.directory / "machines" / name / "machine.json"
        for layer in json.loads(as_root("cat", record).out)["layers"]:
            done = as_root("cat", f"{layer}{path}", code=None)
            if done.code == 0:
                return done.out.encode()
        raise AssertionError(f"no image of {name} holds {path}")

    def get(self, path: str = "", **options: object) -> requests.Response:
        """Ask the application for a page, through the firewall."""
        with requests.Session() as browser:
            browser.trust_env = False  # a proxy would not be the way of the users
            return browser.get(self.scenario.url + path.lstrip("/"), timeout=10, **options)

    def person(self) -> Person:
        """Return somebody who has just logged in."""
        return Person(self.scenario.url, self.scenario.secret("administrator_password"))

    def served(self) -> str:
        """Return the app server that answers next."""
        return self.get("health").headers["X-Served-By"]

    def await_answer(self, seconds: float = 60) -> None:
        """Wait until the application answers its users."""
        wait_for(
            f"{self.scenario.url} to answer 200",
            lambda: self.get().status_code == 200,
            seconds,
        )

    def await_healed(self, seconds: float = 120) -> None:
        """Wait until all bricks are there and no file is left to heal."""
        storage = self.scenario.tier("storage")
        name = storage[0].name

        def healed() -> bool:
            volumes = ("nas", "backup")
            script = "; ".join(f"gluster volume heal {each} info summary" for each in volumes)
            text = self.do(name, script)
            left = re.findall(r"^Total Number of entries: (\S+)", text, re.M)
            return left == ["0"] * len(storage) * len(volumes) or text

        wait_for("all bricks to be there and healed", lambda: healed() is True, seconds)

    def remove(self) -> None:
        """Take the lab away: machines, bridges and rules; the images stay for the next run."""
        for name in self.names:
            self.hang_up(name)
        self.invoke("lab.down")

    def start_again(self) -> None:
        """Take away what a killed run left, and forget its keys and passwords."""
        self.invoke("lab.down")
        for rest in (*places.STATE.glob("id_*"), *places.STATE.glob("*.json")):
            rest.unlink()

    def replace(self, *names: str) -> None:
        """Put new machines in the place of some: their tier's packages, and nothing else."""
        program = (
            "from fabfile.lab import machines; from fabfile.scenario import load; "
            f"[machines.remove(load().lab, name) for name in {names!r}]"
        )
        try:
            as_root(sys.executable, "-c", program, environment=self.environment(), limit=300)
        finally:
            # Also where that failed: the tests that follow need all machines.
            for name in names:
                self.hang_up(name)
            self.invoke("lab.up", limit=300)

    def hang_up(self, name: str) -> None:
        """End the connection that serves all: it keeps its login shell, and a machine that left."""
        run("ssh", "-F", self.ssh_config, "-O", "exit", name, code=None)

    def up(self) -> None:
        """Start the machines from prepared images, those of another lab if it has any."""
        own = places.read(places.ROOT / "config.py")["LAB"]["directory"]
        shared = Path(places.directory(places.FIRST) if places.WORKER else own) / "images"
        start(self.environment(), shared)


def start(environment: dict[str, str], shared: Path, bare: bool = False) -> None:
    """Start the machines of the scenario of an environment, with images of another lab."""
    program = (
        "from pathlib import Path; from fabfile.lab import commands; "
        "from fabfile.scenario import load; "
        f"commands.up(load(), bare={bare}, images_from=Path({str(shared)!r}))"
    )
    # On a computer without any image, they are built first.
    run(sys.executable, "-c", program, limit=600, environment=environment)


def bridges() -> list[str]:
    """Return the bridges of the tests on this computer."""
    text = run("ip", "-brief", "link", "show", "type", "bridge").out
    return [line.split()[0] for line in text.splitlines() if line.startswith(places.PREFIX)]


def rules() -> list[str]:
    """Return the netfilter rules of the tests on this computer."""
    text = as_root("iptables-save").out
    return [line for line in text.splitlines() if places.PREFIX in line]
