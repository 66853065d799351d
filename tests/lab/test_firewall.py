"""The firewall: from the Internet side ping and HTTP of the balancer, and nothing else."""

import re

import pytest

from tests.lab import knocking
from tests.lab.commands import wait_for

pytestmark = pytest.mark.only_looks

SCRIPT = "/etc/fw/fw.fw"
# Seconds for what must come about, whatever else this computer does.
LONG = 20
# What others use: a few samples, verify scans everything.
CLOSED = [
    ("lb", "lan2", 22),
    ("lb", "lan2", 8404),
    ("lb", "lan3", 80),
    ("fw", "lan1", 22),
    ("fw", "lan1", 80),
    ("fw", "lan2", 22),
    ("s1", "lan3", 3000),
    ("s1", "lan4", 3000),
    ("bbdd", "lan4", 5432),
    ("bbdd", "lan4", 6432),
    ("nas1", "lan4", 24007),
]


@pytest.fixture
def fw(lab):
    return lab.host("fw")


@pytest.fixture
def rules(fw):
    """Give a function that answers the rules in the kernel, without what changes by itself."""

    def rules():
        saved = fw.check_output("iptables-save -t filter; ip6tables-save -t filter")
        lines = [line for line in saved.splitlines() if not line.startswith("#")]
        return [re.sub(r" *\[\d+:\d+\]", "", line) for line in lines]

    return rules


def connects(host, address, port, seconds=1):
    """Tell whether a TCP connection comes about; one that must may take `seconds`."""
    return host.run(f"timeout {seconds} bash -c '</dev/tcp/{address}/{port}'").rc == 0


def pings(host, address, seconds=1):
    """Tell whether an address answers one ping; one that must may take `seconds`."""
    return host.run(f"ping -c 1 -W {seconds} {address}").rc == 0


def test_the_unit_is_loaded_before_the_network_at_each_boot(fw):
    assert fw.service("fw").is_running
    assert fw.service("fw").is_enabled
    before = fw.check_output("systemctl show -P Before fw.service").split()
    assert "network-pre.target" in before
    assert "systemd-sysctl.service" in before
    # Who flushes all rules when it starts comes first.
    assert "nftables.service" in fw.check_output("systemctl show -P After fw.service").split()


def test_only_root_may_read_and_run_the_script(fw):
    file = fw.file(SCRIPT)
    assert (file.mode, file.user, file.group) == (0o750, "root", "root")


def test_policy_is_to_drop_everything_ipv6_included(rules):
    for chain in ("INPUT", "FORWARD", "OUTPUT"):
        assert rules().count(f":{chain} DROP") == 2


def test_ipv6_passes_on_the_loopback_only(fw):
    accepted = re.findall(r"^-A .*-j ACCEPT$", fw.check_output("ip6tables-save"), re.M)
    assert sorted(accepted) == ["-A INPUT -i lo -j ACCEPT", "-A OUTPUT -o lo -j ACCEPT"]


def test_it_forwards(fw):
    assert fw.sysctl("net.ipv4.ip_forward") == 1


def test_a_second_start_leaves_the_same_rules(fw, rules):
    before = rules()
    for _ in range(2):
        fw.check_output(f"{SCRIPT} start")
        assert rules() == before


def test_status_and_test_succeed(fw):
    assert fw.run(f"{SCRIPT} status").rc == 0
    assert fw.run(f"{SCRIPT} test").rc == 0


def test_status_sees_a_rule_that_is_not_ours(fw):
    fw.check_output("iptables -I FORWARD -j ACCEPT")
    try:
        assert fw.run(f"{SCRIPT} status").rc != 0
    finally:
        fw.check_output(f"{SCRIPT} start")
    assert fw.run(f"{SCRIPT} status").rc == 0


def test_test_loads_nothing(fw, rules):
    fw.check_output("iptables -I FORWARD -j DROP")
    try:
        before = rules()
        assert fw.run(f"{SCRIPT} test").rc == 0
        assert rules() == before
    finally:
        fw.check_output(f"{SCRIPT} start")


def test_other_words_are_refused(fw):
    for words in ("", "restart", "help"):
        assert fw.run(f"{SCRIPT} {words}").rc == 2


def test_stop_closes_and_start_brings_it_back(lab, fw, rules):
    before, client, balancer = rules(), lab.host("c1"), lab.host("lb")
    fw.check_output("systemctl stop fw")
    try:
        assert fw.run(f"{SCRIPT} status").rc != 0
        # What is not about forwarding stays: this very connection, and silence everywhere else.
        assert rules() == [line for line in before if not line.startswith("-A FORWARD")]
        assert fw.sysctl("net.ipv4.ip_forward") == 0
        assert not connects(client, lab.address("lb", "lan2"), 80)
        for host, network in ((client, "lan1"), (client, "lan2"), (balancer, "lan2")):
            assert not connects(host, lab.address("fw", network), 22)
        assert not pings(client, lab.address("fw", "lan1"))
    finally:
        fw.check_output("systemctl start fw")
    assert rules() == before
    assert fw.run(f"{SCRIPT} status").rc == 0
    assert connects(client, lab.address("lb", "lan2"), 80, LONG)


def test_a_restart_opens_nothing_for_a_moment(lab, fw):
    with knocking.closed(lab) as knocked:
        for _ in range(5):
            fw.check_output("systemctl restart fw")
    assert knocked() == []


# Which network of fw's is the narrow one, what a client asks for so that what does not fit goes
# towards it, and how long the answer is at least.
NARROW = {
    "an answer": ("lan1", "/login", "", 1400),
    "a request": ("lan2", "/health", "x" * 6000, 100),
}


@pytest.mark.parametrize(("network", "path", "cookie", "least"), NARROW.values(), ids=NARROW)
def test_what_is_too_big_for_a_network_comes_in_smaller_packets(
    lab, fw, network, path, cookie, least
):
    lines = [f"GET {path} HTTP/1.1", "Host: crm", "Connection: close", f"Cookie: {cookie}", "", ""]
    request = "\r\n".join(lines).encode()
    ask = f"""
import socket
with socket.create_connection(("{lab.address("lb", "lan2")}", 80), 5) as one:
    one.sendall({request!r})
    answer = b""
    while part := one.recv(65536):
        answer += part
print(len(answer), answer[:12])
"""
    fw.check_output(f"ip link set {network} mtu 1280")
    try:
        length, status = lab.do("c1", f"python3 - <<'END'{ask}END\n").split(" ", 1)
    finally:
        fw.check_output(f"ip link set {network} mtu 1500")
        for name in ("c1", "lb"):
            lab.do(name, "ip route flush cache")
    assert status.strip() == "b'HTTP/1.1 200'"
    assert int(length) >= least


def test_only_of_a_connection_is_a_packet_reported_to_be_too_big(lab, fw):
    client = lab.host("c1")
    fw.check_output("ip link set lan2 mtu 1280")
    try:
        for network in ("lan2", "lan3"):
            sent = client.run(f"ping -c 1 -W 1 -M do -s 1400 {lab.address('lb', network)}")
            # Neither reported now nor known from before.
            assert "100% packet loss" in sent.stdout
            assert "Frag needed" not in sent.stdout
            assert sent.stderr == ""
    finally:
        fw.check_output("ip link set lan2 mtu 1500")


def test_a_client_reaches_http_and_ping_of_the_balancer(lab):
    client, address = lab.host("c1"), lab.address("lb", "lan2")
    assert connects(client, address, 80, LONG)
    assert pings(client, address, LONG)


def test_a_client_reaches_nothing_else(lab):
    targets = [(lab.address(name, network), port) for name, network, port in CLOSED]
    tries = [
        f"(timeout 1 bash -c '</dev/tcp/{address}/{port}' 2>/dev/null && echo {address}:{port}) &"
        for address, port in targets
    ]
    addresses = {address for address, _ in targets} - {lab.address("lb", "lan2")}
    tries += [f"(ping -q -c 1 -W 1 {each} >/dev/null && echo ping {each}) &" for each in addresses]
    # One that is open, to see that the tries can find something.
    balancer = lab.address("lb", "lan2")
    tries.append(f"timeout {LONG} bash -c '</dev/tcp/{balancer}/80' && echo {balancer}:80")
    assert lab.do("c1", "\n".join([*tries, "wait"])).split("\n") == [f"{balancer}:80", ""]


def test_nothing_gets_out_from_inside(lab):
    target = lab.address("c1", "lan1")
    program = f"import socket; server = socket.create_server(('{target}', 8000)); server.accept()"
    lab.do("c1", f'systemd-run -q --unit=listener -p Restart=always python3 -c "{program}"')
    try:
        # Beside it on LAN1, with no firewall in between, the listener does answer.
        client = lab.host("c2")
        wait_for("the listener on c1", lambda: connects(client, target, 8000))
        for name in ("lb", "fw"):
            assert not connects(lab.host(name), target, 8000)
            assert not pings(lab.host(name), target)
    finally:
        lab.do("c1", "systemctl stop listener")


def test_a_client_cannot_pretend_to_be_inside(lab):
    client, balancer = lab.host("c1"), lab.address("lb", "lan2")

    def echos():
        """Return how many pings have come to lb, which answers to where they claim to be from."""
        names, values = re.findall(r"^Icmp: (.*)$", lab.do("lb", "cat /proc/net/snmp"), re.M)
        return int(dict(zip(names.split(), values.split(), strict=True))["InEchos"])

    before = echos()
    assert pings(client, balancer, LONG)
    assert echos() == before + 1
    for network in ("lan2", "lan3"):
        pretended = lab.address("lb", network).rsplit(".", 1)[0] + ".99"
        lab.do("c1", f"ip address add {pretended}/32 dev lan1")
        try:
            client.run(f"ping -c 1 -W 1 -I {pretended} {balancer}")
        finally:
            lab.do("c1", f"ip address delete {pretended}/32 dev lan1")
    assert echos() == before + 1


def test_management_is_on_the_management_interface_only(fw):
    saved = fw.check_output("iptables-save -t filter")
    accepted = re.findall(r"^-A INPUT .*-j ACCEPT$", saved, re.M)
    assert accepted
    assert all("-i management" in line or "-i lo" in line for line in accepted)


def test_no_unit_has_failed(fw):
    assert fw.check_output("systemctl --failed --no-legend --plain") == ""
