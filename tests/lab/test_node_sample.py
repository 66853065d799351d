"""Any other application: a small one for Node is built, shipped and served as the embedded one."""

import json
import re
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from fabfile.tiers.app.migration import LOCK
from tests.lab import other_applications
from tests.lab.commands import wait_for
from tests.lab.scaled import statuses

pytestmark = pytest.mark.installs_packages

APPS = ("s1", "s2", "s3")
NAME = "node-sample"
# Holds the lock of migrations until someone waits for it.
HOLD = f"""
\\set ON_ERROR_STOP on
SELECT pg_advisory_lock({LOCK});
DO $$ BEGIN
    FOR look IN 1..500 LOOP
        IF EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted) THEN
            RETURN;
        END IF;
        PERFORM pg_sleep(0.1);
    END LOOP;
    RAISE 'nobody has waited for the lock';
END $$;
INSERT INTO deployer.done VALUES ('released');
"""


@pytest.fixture(scope="module")
def config(node_sample):
    return node_sample


@pytest.fixture
def url(lab, config):
    return lab.scenario.url


@pytest.fixture
def browser(config):
    with requests.Session() as browser:
        browser.trust_env = False
        yield browser


def from_each(browser, url):
    """Return server -> content, asked until each one has answered."""
    found = {}
    for _ in range(30):
        answer = browser.get(url, timeout=5)
        assert answer.status_code == 200, answer.text
        found[answer.headers["X-Served-By"]] = answer.content
        if len(found) == len(APPS):
            return found
    raise AssertionError(f"only {sorted(found)} answered")


def test_a_second_deploy_changes_nothing(lab, config):
    assert "0 changes" in lab.fab("deploy", config=config).out


def test_every_server_reads_what_one_wrote_to_the_database(browser, url):
    text = secrets.token_hex(8)
    note = browser.post(f"{url}notes", data=text)
    assert note.status_code == 200
    answers = from_each(browser, url)
    # Seeded once, and what was public replaced.
    for content in answers.values():
        notes = json.loads(content)["notes"]
        assert (notes.count(text), notes.count("secured")) == (1, 1)
        assert "public" not in str(notes)


def test_variables_arrive_as_they_were_written(lab, browser, url):
    sample, address = other_applications.NODE_SAMPLE, lab.address("bbdd", "lan4")
    for content in from_each(browser, f"{url}notes").values():
        said = json.loads(content)
        assert said["GREETING"] == sample["environment"]["GREETING"]
        assert said["DB_HOST"] == f"at {address}:6432, not ${{PGHOST}}"
        assert said["WORDS"] == "it's 100%"


def test_the_last_command_of_the_line_to_start_is_the_main_process(lab, config):
    for name in APPS:
        main = lab.do(name, f"cat /proc/$(systemctl show -P MainPID {NAME})/comm")
        assert main == "node\n"


def test_every_server_reads_the_file_that_one_took(lab, browser, url):
    content = bytes(range(256)) * 1000
    assert browser.put(f"{url}uploads/file", data=content).text == "kept"
    assert set(from_each(browser, f"{url}uploads/file").values()) == {content}
    assert lab.do("nas2", f"cat /nas/brick/{NAME}/file | wc -c") == f"{len(content)}\n"


def test_a_server_without_the_volume_gets_no_clients_whatever_its_health_path_says(lab, config):
    client = "^/usr/sbin/glusterfs .* /mnt/nas$"
    lab.do("s2", f"systemctl stop mnt-nas-watch; pkill -KILL -f '{client}'")
    try:
        wait_for("s2 to be out", lambda: statuses(lab)["s2"].startswith("DOWN"), 20)
        ask = "exec 3<>/dev/tcp/127.0.0.1/3000; printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3"
        assert "200 OK" in lab.do("s2", f'bash -c "{ask}; head -n 1 <&3"')
    finally:
        lab.do("s2", "systemctl start mnt-nas-watch")
    wait_for("s2 to be back", lambda: statuses(lab)["s2"] == "UP", 40)


def test_npm_is_on_the_builder_only_and_everybody_has_the_same_modules(lab, config):
    sums = f"cd /srv/{NAME}/current/ && find . -type f | sort | xargs sha256sum"
    first = lab.do("s1", sums)
    assert "./node_modules/pg/package.json" in first
    for name in APPS:
        assert lab.host(name).package("npm").is_installed is (name == "s1")
        assert lab.do(name, sums) == first


def test_the_release_was_built_by_a_user_who_does_not_serve_and_is_roots_now(lab, config):
    assert "crm-build" in lab.do("s1", "stat -c %U /var/cache/crm-build/.npm")
    for name in APPS:
        assert lab.do(name, f"find /srv/{NAME}/releases ! -user root -o -perm /022 ! -type l") == ""
        main = lab.do(name, f"systemctl show -P MainPID {NAME}").strip()
        assert lab.do(name, f"stat -c %U /proc/{main}") == f"{NAME}\n"


def test_the_other_application_rests_and_keeps_what_it_has(lab, config):
    for name in APPS:
        assert not lab.host(name).service("crm").is_running
        assert not lab.host(name).service("crm").is_enabled
        assert lab.host(name).file("/srv/crm/current").is_symlink
    assert lab.host("s1").file("/mnt/nas/crm").is_directory


def test_the_journal_holds_errors_and_no_requests(lab, browser, url):
    assert browser.get(f"{url}uploads/none").status_code == 500
    text = "".join(lab.do(name, f"journalctl -q -u {NAME} -o cat") for name in APPS)
    assert "no such file" in text
    assert "GET /" not in text


def test_verify_holds_for_an_application_that_it_does_not_know(lab, config):
    done = lab.invoke("verify", limit=120, config=config, code=None)
    assert "application: every server answers /health (read from s1, s2, s3)" in done.out
    assert "FALSE" not in done.out, done.out


def test_a_forgotten_application_stops_every_task_but_deploy(lab, config):
    for words in (("app.restart",), ("maintenance", "--server", "s2", "on"), ("balancer.deploy",)):
        done = lab.fab(*words, code=1)
        assert f"runs the application {NAME}, not crm" in done.text
        assert "Nothing was changed" in done.text


def test_a_migration_waits_for_one_that_is_under_way(lab, config):
    sql(lab, "DELETE FROM deployer.done WHERE what LIKE 'migrate%'")
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(sql, lab, HOLD)
        # A process that runs on one server holds another.
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        mine = f"AND classid::bigint << 32 | objid::bigint = {LOCK}"
        wait_for("someone else's lock", lambda: sql(lab, f"{held} {mine}") == "1")
        done = lab.fab("deploy", config=config)
        other.result()
    assert f"migrate the database of {NAME}" in done.out
    order = "SELECT split_part(what, ' ', 1) FROM deployer.done ORDER BY at DESC LIMIT 2"
    assert sql(lab, order).splitlines() == ["migrate", "released"]


def sql(lab, statement):
    return lab.sql(statement, "node_sample")


def test_a_build_that_fails_shows_what_npm_said_and_nobody_notices(
    lab, config, tmp_path, browser, url
):
    broken = {**other_applications.NODE_SAMPLE, "build": "npm install --offline no-such-package"}
    path = other_applications.configuration(lab, NAME, broken, tmp_path / "config.py")
    done = lab.fab("deploy", limit=200, config=path, code=1)
    assert re.search(r"s1: 'build /srv/.*' failed with exit code 1", done.text), done.text
    assert "npm ERR!" in done.text
    # What it asks for may be newer than what is here.
    node = lab.do("s1", "node --version").strip()
    assert f"node ({node})" in done.text
    assert "serve" in done.text.partition("stages not started: ")[2]
    assert len(from_each(browser, url)) == len(APPS)
    assert ".new" not in lab.do("s1", f"ls /srv/{NAME}/releases")
    assert "0 changes" in lab.fab("deploy", config=config).out


def test_a_switch_that_fails_on_the_first_server_goes_back(lab, config, tmp_path, browser, url):
    sample, path = other_applications.NODE_SAMPLE, tmp_path / "config.py"
    other_applications.configuration(lab, NAME, sample, path, runs="crm", start="false")
    done = lab.fab("deploy", limit=200, config=path, code=1)
    assert "s1 was put back on release" in done.text, done.text
    assert len(from_each(browser, url)) == len(APPS)
    # The page that is asked for, and the database that is compared with its backups.
    assert {machine for machine, _ in planned(lab, config)} <= {"lb", "bbdd"}
    lab.fab("deploy", config=config)


def planned(lab, config):
    done = lab.fab("plan", config=config, code=None)
    return re.findall(r"^(\S+) +\((?:\w+)\): (.+)$", done.out, re.M)
