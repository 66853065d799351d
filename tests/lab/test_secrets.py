"""No secret is seen: in no output, process list, world-readable file, journal or repository."""

import json
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab import places
from tests.lab.command_lines import command_lines
from tests.lab.commands import SUDO, run

# Every step of a deployment that handles a secret has something to do after this.
CHANGES = {
    "bbdd": """cd / && runuser -u postgres -- psql -qX crm <<'SQL'
ALTER ROLE crm PASSWORD 'another';
DELETE FROM deployer.done;
SQL
""",
    "s1": "rm /etc/crm-deployer/crm.env",
    "s2": "echo CHANGED=1 >> /etc/crm-deployer/crm.env",
    "lb": "echo '# by hand' >> /etc/haproxy/haproxy.cfg",
}
# Processes that no look from time to time would see.
BRIEF = range(1, 21)
BRIEFLY = f"for n in $(seq {len(BRIEF)}); do /bin/true {{}} $n; done"


@pytest.fixture(scope="module")
def secrets(lab):
    """Return all secrets: name -> value."""
    found = json.loads((places.STATE / "secrets.json").read_text())
    assert len(found) >= 4
    return found


def shown(secrets, text):
    """Return the names of the secrets that a text holds: a failure shows no value either."""
    return [name for name, value in secrets.items() if value in text]


@pytest.fixture(scope="module")
def deployment(lab):
    """Deploy with much to do; return what was printed, and all command lines meanwhile."""
    for name, script in CHANGES.items():
        lab.do(name, script)
    plan = lab.fab("plan", code=2)
    with command_lines(lab.scenario.lab.directory / "machines", lab.names, SUDO) as lines:
        run("sh", "-c", BRIEFLY.format("here"))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda name: lab.do(name, BRIEFLY.format(name)), lab.names))
        done = lab.fab("deploy")
    again = lab.fab("deploy")
    assert "0 changes" in again.out, again.text
    return plan.text + done.text + again.text, lines


def test_no_output_shows_a_secret(deployment, secrets):
    output, _ = deployment
    assert "haproxy.cfg" in output
    assert shown(secrets, output) == []


def test_the_watch_misses_no_process(lab, deployment):
    _, lines = deployment
    brief = {f"/bin/true\0{name}\0{n}\0".encode() for name in ("here", *lab.names) for n in BRIEF}
    assert brief - lines == set()


def test_no_process_is_given_a_secret(deployment, secrets):
    _, lines = deployment
    # What is run on the machines while they are changed.
    assert any(line.startswith(b"haproxy\0-c\0") for line in lines)
    assert any(line.startswith(b"psql\0") or b"/psql\0" in line for line in lines)
    assert shown(secrets, b"\n".join(lines).decode(errors="replace")) == []


def test_status_and_verify_show_no_secret(lab, secrets):
    output = lab.invoke("status").text + lab.invoke("status", "--json").text
    output += lab.invoke("address").text
    assert "haproxy" in output
    assert shown(secrets, output) == []


def found_on(lab, name, secrets, search):
    """Return what a search finds on a machine, which gets the secrets on its standard input."""
    script = f"umask 077; cat > /run/wanted; {search} || :; rm /run/wanted"
    ssh = ("ssh", "-F", lab.ssh_config, name, f"sudo -n sh -c {json.dumps(script)}")
    return run(*ssh, stdin="\n".join(secrets.values()) + "\n", limit=120).out.split("\n")[:-1]


def on_every_machine(lab, secrets, search):
    """Return what a search finds, machine by machine, where it finds anything."""
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda name: found_on(lab, name, secrets, search), lab.names)
        return {name: lines for name, lines in zip(lab.names, found, strict=True) if lines}


# /dev/shm, /tmp and /run are file systems of their own; so are the volume and the bricks.
READABLE = (
    "find / /run /tmp /dev/shm /mnt/nas /nas -xdev -type f {rights} -print0 2>/dev/null "
    "| xargs -0 -r grep -lsF -f /run/wanted | grep -vx /run/wanted | sort -u"
)


def test_no_world_readable_file_holds_a_secret(lab, secrets):
    assert on_every_machine(lab, secrets, READABLE.format(rights="-perm -o=r")) == {}


def test_the_files_that_hold_secrets_are_known(lab, secrets):
    search = READABLE.format(rights="! -path '/proc/*'").replace("find / ", "find /etc /srv /var ")
    found = on_every_machine(lab, secrets, search)
    # What a server ran before a change is kept for the case that the new one fails.
    previous = "/var/lib/crm-deployer/previous/env"
    kept = {name: [path for path in paths if path != previous] for name, paths in found.items()}
    wanted = {name: ["/etc/crm-deployer/crm.env"] for name in lab.apps}
    storage = [machine.name for machine in lab.scenario.tier("storage")]
    backups = ["/etc/crm-deployer/repository.conf", "/etc/crm-deployer/uploads.password"]
    wanted |= {name: backups for name in storage}
    assert kept == {"lb": ["/etc/haproxy/haproxy.cfg"], **wanted}


def test_no_journal_holds_a_secret(lab, secrets):
    search = "journalctl -o export --no-pager | grep -aqF -f /run/wanted && echo found"
    assert on_every_machine(lab, secrets, search) == {}


def test_the_database_server_has_no_password_in_any_form_that_can_be_used(lab, secrets):
    dump = "cd / && runuser -u postgres -- pg_dumpall | grep -cF -f /run/wanted"
    assert found_on(lab, "bbdd", secrets, dump) == ["0"]


def test_this_computer_keeps_them_for_the_person_only():
    path = places.STATE / "secrets.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((places.STATE / "id_ed25519").stat().st_mode) == 0o600


def test_the_repository_holds_none(secrets):
    ignored = run("git", "check-ignore", places.STATE / "secrets.json", directory=places.ROOT)
    assert ignored.out.strip()
    grep = ("git", "grep", "-lF", "-f", "/dev/stdin")
    done = subprocess.run(
        grep, input="\n".join(secrets.values()), text=True, capture_output=True, cwd=places.ROOT
    )
    assert (done.returncode, done.stdout) == (1, "")
