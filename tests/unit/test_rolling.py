"""Batches, and HAProxy's file against its process: what can be told without a machine."""

import subprocess
from dataclasses import replace

import pytest

from fabfile.tiers.app import servers
from fabfile.tiers.app import state as app
from fabfile.tiers.app.rolling import BatchError, batch_size
from fabfile.tiers.balancer import state as balancer
from fabfile.tiers.balancer.haproxy import Configuration, Servers

FILE = "global\n    maxconn 4000\nbackend app\n{}"
S1, S2 = "    server s1 10.1.3.11:3000 check\n", "    server s2 10.1.3.12:3000 check\n"


@pytest.mark.parametrize(
    ("text", "servers", "size"),
    [("1", 3, 1), ("2", 3, 2), ("50%", 6, 3), ("50%", 3, 1), ("1%", 3, 1), ("100%", 3, 3)],
)
def test_a_batch_is_a_number_or_a_percentage(text, servers, size) -> None:
    assert batch_size(text, servers) == size


@pytest.mark.parametrize("text", ["0", "0%", "101%", "-1", "two", "", "1.5", "5 0%"])
def test_a_batch_that_makes_no_sense_is_refused(text) -> None:
    with pytest.raises(BatchError, match="--batch"):
        batch_size(text, 3)


@pytest.mark.parametrize(
    ("name", "ready"),
    [("crm", "/health"), ("crm-2017", "/favicon.ico"), ("gone", "is-active")],
)
def test_what_served_before_is_put_back_whichever_application_it_was(scenario, name, ready):
    script = servers.put_back(scenario, name, "abc")
    done = subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert f"ln -sfn releases/abc /srv/{name}/current.new" in script
    assert f"systemctl restart {name}.service" in script and ready in script
    assert f"\nput_back {name} crm\n" in script


def test_a_machine_on_which_nothing_ran_so_far_serves_nothing(scenario, tmp_path):
    # As it is where host.nft is there already: a systemctl that takes "*.service" for all of them.
    systemctl = tmp_path / "systemctl"
    systemctl.write_text("#!/bin/sh\ncase $* in *'*'*) printf '0\\n1\\n' ;; *) echo 0 ;; esac\n")
    systemctl.chmod(0o755)
    for script in (servers.keep_previous(scenario), app._alone(scenario).unless):
        script = f"PATH={tmp_path}:$PATH\n{script.replace('/etc/crm-deployer', str(tmp_path))}"
        done = subprocess.run(["sh"], input=script, text=True, capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def kept(scenario, directory, copies=True, unit="[Unit]\n"):
    """Run keep_previous where a process serves release abc, and copies succeed or not.

    `unit` is the text of its unit file, "" of one that somebody has removed.
    """
    (directory / "abc").mkdir()
    with subprocess.Popen(["sleep", "60"], cwd=directory / "abc") as process:
        programs = {"systemctl": f"echo {process.pid}"}
        if not copies:
            programs["cp"] = 'for last; do :; done; : >"$last"; echo "cp: no room" >&2; exit 1'
        for name, text in programs.items():
            (directory / name).write_text(f"#!/bin/sh\n{text}\n")
            (directory / name).chmod(0o755)
        if unit:
            (directory / "crm.service").write_text(unit)
        script = servers.keep_previous(scenario)
        for path in ("/etc/crm-deployer", "/etc/systemd/system", "/var/lib/crm-deployer"):
            script = script.replace(path, str(directory))
        script = f"PATH={directory}:$PATH\n{script}"
        done = subprocess.run(["sh"], input=script, text=True, capture_output=True)
        process.kill()
    return done


def test_a_server_whose_variables_were_removed_serves_all_the_same(scenario, tmp_path):
    # Or it would be restarted in the middle of what users ask.
    done = kept(scenario, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "crm abc\n", "")
    assert (tmp_path / "previous/unit").read_text() == "[Unit]\n"


def test_a_server_whose_unit_was_removed_serves_all_the_same(scenario, tmp_path):
    done = kept(scenario, tmp_path, unit="")
    assert (done.returncode, done.stdout, done.stderr) == (0, "crm abc\n", "")
    assert not (tmp_path / "previous/unit").exists()


def test_what_cannot_be_kept_whole_is_not_kept_and_fails(scenario, tmp_path):
    done = kept(scenario, tmp_path, copies=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "cp: no room\n")
    assert not (tmp_path / "previous").exists()


def configuration_key(machine, tmp_path, now: str, wanted: str) -> str:
    path = tmp_path / "haproxy.cfg"
    path.write_text(now)
    rights = {"mode": path.stat().st_mode & 0o777, "owner": machine.user, "group": machine.group}
    file = Configuration(str(path), wanted, **rights)
    return machine.plan(file).key.removeprefix(str(path))


@pytest.mark.parametrize(
    ("now", "wanted"),
    [(S1, S1 + S2), (S1 + S2, S1), (S1 + S2, S1 + S2.replace("check", "check disabled"))],
)
def test_more_or_fewer_servers_need_no_reload(machine, tmp_path, now, wanted) -> None:
    assert configuration_key(machine, tmp_path, FILE.format(now), FILE.format(wanted)) != ""


@pytest.mark.parametrize(
    "now",
    [
        FILE.format(S1).replace("4000", "9"),
        FILE.format(S1.replace("check", "check inter 9s")),
        FILE.format(S1.replace("10.1.3.11", "10.1.3.99")),
        FILE.format(S1) + "    balance source\n",
    ],
)
def test_any_other_difference_needs_one(machine, tmp_path, now) -> None:
    assert configuration_key(machine, tmp_path, now, FILE.format(S1 + S2)) == ""


BOTH = "app s1 10.1.3.11:3000 0\napp s2 10.1.3.12:3000 5\n"
WANTED = {"s1": ("10.1.3.11:3000", False), "s2": ("10.1.3.12:3000", True)}


ALIVE = BOTH.replace("app", "app-alive")


def words(facts: str, changed=()) -> str:
    change = Servers(WANTED, reloading=("file",)).plan(facts, set(changed))
    return change.summary.partition(": ")[2] if change else ""


@pytest.mark.parametrize(
    ("facts", "summary"),
    [
        (BOTH, ""),
        ("app s1 10.1.3.11:3000 0\n", "add s2"),
        ("app s1 10.1.3.11:3000 0\napp s2 10.1.3.12:3000 0\n", "set s2 aside"),
        ("app s1 10.1.3.11:3000 4\napp s2 10.1.3.12:3000 5\n", ""),
        ("app s1 10.1.3.11:3000 8\napp s2 10.1.3.12:3000 1\n", "put s1 back in service"),
        ("app s1 10.1.3.9:3000 0\napp s2 10.1.3.12:3000 5\n", "move s1"),
        (
            "app s1 10.1.3.11:3000 0\napp s2 10.1.3.12:3000 5\napp s9 10.1.3.19:3000 0\n",
            "remove s9",
        ),
        ("", ""),
        # Where several pages are asked for, each server is in two backends.
        (BOTH + ALIVE, ""),
        (f"{BOTH}app s9 10.1.3.19:3000 0\n{ALIVE}", "remove s9"),
        (f"{BOTH}{ALIVE}app-alive s9 10.1.3.19:3000 1\n", "remove s9"),
        (BOTH + ALIVE.replace("3000 0", "3000 8"), "put s1 back in service"),
        (BOTH + ALIVE.replace("3000 5", "3000 0"), "set s2 aside"),
        (BOTH + ALIVE.replace("3.11", "3.9"), "move s1"),
        (BOTH.splitlines()[0] + "\n" + ALIVE, "move s2"),
    ],
)
def test_the_running_haproxy_gets_what_it_lacks(facts, summary) -> None:
    assert words(facts) == summary


def test_a_reload_brings_the_servers_too() -> None:
    assert words("app s1 10.1.3.11:3000 0\n", changed=("file",)) == ""


def balanced(scenario, *pages: str) -> list[str]:
    """Return the lines of haproxy.cfg for an application that is asked for these pages."""
    wanted = replace(scenario, application=replace(scenario.application, health=pages))
    desired = balancer.desired(wanted, wanted.machine("lb"))
    (file,) = (each for each in desired if isinstance(each, Configuration))
    return [line.strip() for line in file.content.splitlines()]


def test_one_page_needs_one_backend_and_several_need_one_that_asks_for_the_first(scenario) -> None:
    one, two = balanced(scenario, "/health"), balanced(scenario, "/health", "/login")
    assert [line for line in one if line not in two] == []
    assert not any("app-alive" in line or "nbsrv" in line for line in one)
    assert "use_backend app-alive if { nbsrv(app) eq 0 }" in two
    begin, last = two.index("backend app"), two.index("backend app-alive")
    asked = {
        page: [at for at, line in enumerate(two) if f"uri '{page}'" in line]
        for page in ("/health", "/login")
    }
    assert [begin < at < last for at in asked["/health"]] == [True, False]
    assert [begin < at < last for at in asked["/login"]] == [True]
    servers = [line for line in two if line.startswith("server ")]
    assert servers == 2 * [line for line in one if line.startswith("server ")]


def test_no_server_gets_what_a_client_says_of_itself(scenario) -> None:
    lines = balanced(scenario, "/health")
    frontend = lines[lines.index("frontend users") : lines.index("backend app")]
    said = frontend.index("http-request set-header X-Forwarded-Proto http")
    for line in (
        "option http-restrict-req-hdr-names delete",
        "http-request del-header X-Forwarded- -m beg",
        "http-request del-header Forwarded",
        "http-request del-header X-Real-IP",
    ):
        assert frontend.index(line) < said < frontend.index("option forwardfor")
