"""The lab's networks on this computer: no machine can change where this computer's packets go."""

import json

import pytest

from tests.lab import places
from tests.lab.commands import as_root, run, wait_for

pytestmark = pytest.mark.only_looks

PREFIX = "2001:db8:91::"
# A router advertisement (RFC 4861 section 4.2) with a prefix to make addresses from. Its low
# preference and its lifetime of 10 s keep it from doing harm where it is believed.
ADVERTISE = f"""
import socket, struct
router = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0x18, 10, 0, 0)
prefix = struct.pack("!BBBBIII16s", 3, 4, 64, 0xC0, 10, 10, 0,
                     socket.inet_pton(socket.AF_INET6, "{PREFIX}"))
one = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
one.sendto(router + prefix, ("ff02::1", 0, 0, socket.if_nametoindex("lan1")))
"""
LISTEN = "/proc/sys/net/ipv6/conf/lan1/accept_ra"


def bridge(network):
    """Return the name of a network's bridge."""
    return f"{places.PREFIX}{network}"


def learnt(text):
    """Return the lines of `ip` that tell of the advertised router or its prefix."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return [line for line in lines if line.startswith("default") or PREFIX in line]


@pytest.fixture
def advertised(lab):
    """Have c1 advertise itself as a router on LAN1, to c2, too, which believes it."""
    lab.do("c2", f"echo 2 > {LISTEN}")
    try:
        yield lambda: lab.do("c1", f"python3 - <<'END'\n{ADVERTISE}END\n")
    finally:
        lab.do(
            "c2", f"echo 0 > {LISTEN}; ip -6 route flush proto ra; ip -6 route flush {PREFIX}/64"
        )
        lab.do("c2", "ip -6 address flush dev lan1 scope global")


def test_a_router_advertisement_gives_this_computer_and_the_firewall_nothing(lab, advertised):
    advertised()
    wait_for(
        "c2, which listens, to learn the router",
        lambda: learnt(lab.do("c2", "ip -6 route show")),
        5,
    )
    for name in ("ip -6 route show dev", "ip -6 address show dev"):
        assert learnt(run(*name.split(), bridge("lan1")).out) == []
        assert learnt(lab.do("fw", f"{name} lan1")) == []


def test_this_computer_speaks_ipv6_on_no_bridge_not_even_on_one_from_before(lab):
    path = f"/proc/sys/net/ipv6/conf/{bridge('lan1')}/disable_ipv6"
    as_root("sh", "-c", f"echo 0 > {path}")
    assert "brought up to date" in lab.invoke("lab.up").out
    assert "nothing to do" in lab.invoke("lab.up").out
    links = json.loads(run("ip", "-json", "-6", "address", "show").out)
    ours = [link["ifname"] for link in links if link.get("ifname", "").startswith(places.PREFIX)]
    assert ours == []
