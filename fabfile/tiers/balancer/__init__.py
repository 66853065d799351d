"""The balancer tier: HAProxy in front of the app servers."""

from fabfile.tiers.tier import Listener, Tier

TIER = Tier(
    name="balancer",
    title="load balancer",
    people_say="a load balancer",
    members="the load balancer",
    about="HAProxy on port {ports[http]}, round-robin",
    row=2,
    least=1,
    most=2,
    listens=(
        Listener("http", "HTTP", port="http", default=80),
        Listener("ping", "ping", protocol="icmp"),
        Listener("statistics", "statistics", port="statistics", default=8404),
        Listener("vrrp", "who has the shared address", protocol="vrrp"),
    ),
    uses=("app.http", "app.volume", "balancer.vrrp"),
    floats=True,
)
