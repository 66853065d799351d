"""Machines that stand for the users on the Internet. Nothing is deployed to them."""

from fabfile.tiers.tier import Tier

TIER = Tier(
    name="client",
    title="clients",
    people_say="a client",
    members="the clients",
    about="the users, on the Internet",
    row=0,
    uses=("balancer.http", "balancer.ping"),
    inside=False,
)
