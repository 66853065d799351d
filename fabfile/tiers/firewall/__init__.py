"""The firewall tier: the only way from the users to the balancer, and from there back.

Without a machine of it, each machine lets in only what the table of flows says of it.
"""

from fabfile.tiers.tier import Listener, Tier

TIER = Tier(
    name="firewall",
    title="firewall",
    people_say="a firewall",
    members="the firewall",
    about="iptables: lets in ping and TCP {ports[http]} to the balancer",
    row=1,
    least=1,
    most=2,
    optional=True,
    listens=(
        Listener("vrrp", "who has the shared address", protocol="vrrp"),
        Listener("connections", "open connections", numbers=(3780, 3780), protocol="udp"),
    ),
    uses=("firewall.vrrp", "firewall.connections"),
    floats=True,
)
