"""Places for copies of the backups, on this computer: an OpenSSH of its own, and an S3 store."""

import json
import socket
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.lab import places
from tests.lab.commands import SUDO, as_root, run, wait_for
from tests.lab.lab import Lab

# This computer, as the machines of the lab see it.
ADDRESS = f"{places.MANAGEMENT}1"
USER, BUCKET = "keeper", "backups"
SSHD = f"""\
ListenAddress {ADDRESS}:{{port}}
HostKey /etc/second/host
PidFile /run/second.pid
UsePAM no
PasswordAuthentication no
AuthorizedKeysFile /etc/second/let-in
Subsystem sftp internal-sftp
ForceCommand internal-sftp
ChrootDirectory /srv/second
AllowUsers {USER}
"""
# In a file system of its own, which ends with it: that of the lab's machines, Debian's sshd in it.
START = """
cd "$1"
mkdir -p upper work root
mount -t overlay -o "lowerdir=$2,upperdir=upper,workdir=work" overlay root
mount --rbind /dev root/dev
mkdir -p root/run/sshd root/etc/second root/srv/second
cp config host let-in root/etc/second
chown -R 0:0 root/etc/second
chown 0:0 root/srv/second
chmod 600 root/etc/second/host
grep -q "^$3:" root/etc/passwd || chroot root useradd -p '*' -d / "$3"
install -d -o 4711 -g 4711 root/srv/second/crm
chroot root usermod -o -u 4711 "$3"
exec chroot root /usr/sbin/sshd -D -e -f /etc/second/config
"""


def free_port() -> int:
    """Return a port that nobody listens on there."""
    with socket.create_server((ADDRESS, 0)) as server:
        return server.getsockname()[1]


def make_key(file: Path) -> str:
    """Make a key, and return its public part."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file)
    return " ".join(file.with_suffix(".pub").read_text().split()[:2])


@dataclass
class Sftp:
    """An SSH server that offers files and nothing else, and what a person has to get in."""

    directory: Path  # of root
    mine: Path
    port: int
    _server: subprocess.Popen | None = None

    @property
    def entry(self) -> dict[str, str]:
        """What config.py says of it."""
        return {
            "sftp": f"{USER}@{ADDRESS}:{self.port}",
            "path": "crm/pfinal",
            "key": str(self.mine / "key"),
            "known_hosts": str(self.mine / "known_hosts"),
        }

    @property
    def held(self) -> Path:
        """Where its files are."""
        return self.directory / "upper/srv/second/crm/pfinal"

    def start(self, lab: Lab, host: str = "host") -> None:
        """Have it run, with one of its two host keys."""
        record = lab.scenario.lab.directory / "machines" / "c1" / "machine.json"
        layers = ":".join(json.loads(as_root("cat", record).out)["layers"])
        as_root("cp", self.mine / host, self.directory / "host")
        command = (*SUDO, "unshare", "--mount", "sh", "-euc", START, "sh", self.directory, layers)
        log = self.mine / "log"
        with log.open("w") as opened:
            self._server = subprocess.Popen([*command, USER], stdout=opened, stderr=opened)
        wait_for("sshd to listen", lambda: _listens(self.port) or self._ended(), 30)
        assert not self._ended(), log.read_text()

    def stop(self) -> None:
        """End it, as far as it runs."""
        if not self._ended():
            pid = as_root("cat", self.directory / "upper/run/second.pid").out.strip()
            as_root("kill", pid)
            self._server.wait(10)

    def _ended(self) -> bool:
        return self._server is None or self._server.poll() is not None


def sftp(lab: Lab, mine: Path) -> Sftp:
    """Return a server that is to run: its host is known, and the key is let in."""
    directory = lab.scenario.lab.directory / "second"
    as_root("rm", "-rf", directory)
    as_root("install", "-d", directory)
    found = Sftp(directory, mine, free_port())
    host = make_key(mine / "host")
    make_key(mine / "another")
    (mine / "known_hosts").write_text(f"[{ADDRESS}]:{found.port} {host}\n")
    (mine / "let-in").write_text(f"{make_key(mine / 'key')}\n")
    (mine / "config").write_text(SSHD.format(port=found.port))
    as_root("cp", mine / "let-in", mine / "config", directory)
    return found


def _listens(port: int) -> bool:
    try:
        with socket.create_connection((ADDRESS, port), 1):
            return True
    except OSError:
        return False


@contextmanager
def s3(mine: Path) -> Iterator[str]:
    """Give the URL of an S3 store that has an empty bucket."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", ADDRESS, "-p", str(port)]
    with (mine / "s3.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for("the S3 store to listen", lambda: _listens(port) or server.poll(), 60)
        assert server.poll() is None, (mine / "s3.log").read_text()
        url = f"http://{ADDRESS}:{port}"
        _ask("PUT", f"{url}/{BUCKET}")
        yield url
    finally:
        server.terminate()
        server.wait(10)


def s3_entry(url: str) -> dict[str, str]:
    """Return what config.py says of a store."""
    return {"s3": url, "bucket": BUCKET, "path": "pfinal", "region": "us-east-1"}


def s3_names(url: str) -> list[str]:
    """Return the names of all that a store has, at most a thousand."""
    tree = ElementTree.fromstring(_ask("GET", f"{url}/{BUCKET}?list-type=2"))
    return [each.text or "" for each in tree.iter() if each.tag.endswith("}Key")]


def _ask(method: str, url: str) -> str:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.request(method, url, timeout=10)
    answer.raise_for_status()
    return answer.text
