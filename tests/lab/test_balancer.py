"""The load balancer: HAProxy spreads the users over the app servers, and nothing else is open."""

import json
import re
from collections import Counter

import pytest
import requests

from tests.lab.places import STATE
from tests.lab.scaled import statuses
from tests.lab.traffic import trouble

pytestmark = pytest.mark.only_looks


@pytest.fixture
def lb(lab):
    return lab.host("lb")


@pytest.fixture(scope="module")
def configuration(lab):
    """Return the lines of haproxy.cfg, without indentation."""
    text = lab.do("lb", "cat /etc/haproxy/haproxy.cfg")
    return [line.strip() for line in text.splitlines()]


@pytest.fixture
def statistics(lab):
    """Give a function that asks for a page of the statistics; `password` None gives none."""
    address = f"http://{lab.address('lb', 'management')}:8404"

    def ask(path, password):
        user = ("statistics", password) if password is not None else None
        with requests.Session() as browser:
            browser.trust_env = False
            return browser.get(f"{address}{path}", auth=user, timeout=5)

    return ask


@pytest.fixture(scope="module")
def password():
    return json.loads((STATE / "secrets.json").read_text())["statistics_password"]


def test_haproxy_runs_and_starts_at_boot(lb):
    assert lb.package("haproxy").is_installed
    assert lb.service("haproxy").is_running
    assert lb.service("haproxy").is_enabled


def test_haproxy_accepts_its_configuration(lb):
    assert lb.run("haproxy -c -q -f /etc/haproxy/haproxy.cfg").rc == 0
    file = lb.file("/etc/haproxy/haproxy.cfg")
    assert (file.mode, file.user, file.group) == (0o640, "root", "haproxy")


@pytest.mark.parametrize(
    "line",
    [
        "balance roundrobin",
        "http-check expect status 200",
        "option redispatch 1",
        "retry-on conn-failure empty-response",
        "http-request disable-l7-retry unless METH_GET or { method OPTIONS }",
        "option forwardfor",
        "option http-buffer-request",
        "option idle-close-on-response",
    ],
)
def test_it_is_configured_as_promised(configuration, line):
    assert line in configuration


def test_it_checks_the_health_pages_of_every_app_server(lab, configuration):
    assert any("uri '/alive'" in line for line in configuration)
    assert any("uri '/health'" in line for line in configuration)
    check = "check inter 1s fall 2 rise 2"
    servers = [f"server {name} {lab.address(name, 'lan3')}:3000 {check}" for name in lab.apps]
    # In both backends: that of all pages, and that of the first.
    assert [line for line in configuration if line.startswith("server ")] == 2 * servers
    assert statuses(lab) == dict.fromkeys(lab.apps, "UP")


def test_every_answer_says_who_gave_it_and_all_take_turns(lab):
    answers = Counter(lab.get("health").headers["X-Served-By"] for _ in range(30))
    assert set(answers) == set(lab.apps)
    assert max(answers.values()) - min(answers.values()) <= 1


ASK = """
import socket, time
for _ in range(15):
    begin = time.monotonic()
    try:
        with socket.create_connection(("{host}", 80), 5) as one:
            one.settimeout(5)
            one.sendall(b"GET /login HTTP/1.0\\r\\n\\r\\n")
            said = one.recv(100).split(b" ")[1].decode()
    except OSError as error:
        said = type(error).__name__
    print(said, time.monotonic() - begin)
    # Over as long as HAProxy takes to notice that a server does not answer.
    time.sleep(0.3)
"""


@pytest.mark.parametrize(
    ("how", "clients", "paths"),
    [
        ("dribble", 60, ("/login", "/customers/new", "/nothing/here")),
        ("flood", 30, ("/login",)),
    ],
)
def test_bodies_that_nobody_wants_keep_no_other_client_waiting(lab, how, clients, paths):
    with trouble(lab.scenario, how, clients, *paths):
        program = ASK.format(host=lab.address("lb", "lan2"))
        said = lab.do("c2", f"python3 - <<'END'{program}END\n", limit=100)
    answers = [line.split() for line in said.splitlines()]
    assert [status for status, _ in answers] == ["200"] * 15, said
    assert max(float(seconds) for _, seconds in answers) < 3, said


def test_what_a_client_says_of_itself_does_not_reach_the_application(configuration):
    assert configuration.index("http-request del-header X-Forwarded- -m beg") < configuration.index(
        "option forwardfor"
    )


def test_the_admin_socket_is_for_root_and_haproxy_only(lb):
    mode = lb.check_output("stat -c '%a %F' /run/haproxy/admin.sock")
    assert mode == "660 socket"


def test_it_listens_for_users_on_lan2_and_for_statistics_on_management_only(lab, lb):
    listening = lb.check_output("ss -Hltnp | grep haproxy")
    addresses = sorted({line.split()[3] for line in listening.splitlines()})
    wanted = [f"{lab.address('lb', 'lan2')}:80", f"{lab.address('lb', 'management')}:8404"]
    assert addresses == sorted(wanted)


@pytest.mark.parametrize("path", ["/", "/metrics"])
def test_statistics_are_shown_with_the_password_only(statistics, password, path):
    assert statistics(path, None).status_code == 401
    assert statistics(path, "wrong").status_code == 401
    assert statistics(path, password).status_code == 200


def test_metrics_are_prometheus_ones(statistics, password):
    text = statistics("/metrics", password).text
    assert re.search(r'^haproxy_server_status\{.*server="s1".*state="UP"\} 1', text, re.M)


def test_it_forwards_no_ip(lab, lb):
    assert lb.sysctl("net.ipv4.ip_forward") == 0
    # Tried for real: a packet for an app server, sent to lb as if it were a router.
    target, gateway = lab.address("s1", "lan3"), lab.address("lb", "lan2")
    lab.do("fw", f"ip route replace {target}/32 via {gateway}")
    try:
        attempt = f"timeout 2 bash -c '</dev/tcp/{target}/3000'"
        assert lab.host("fw").run(attempt).rc != 0
    finally:
        lab.do("fw", f"ip route delete {target}/32")


def test_no_unit_has_failed(lb):
    assert lb.check_output("systemctl --failed --no-legend --plain") == ""


def test_no_package_of_another_tier_is_there(lb):
    for package in ("postgresql", "glusterfs-server", "glusterfs-client", "gunicorn"):
        assert not lb.package(package).is_installed
