"""The person's own computer, where the tasks run. It may have its place in the picture."""

from fabfile.tiers.tier import Tier

TIER = Tier(
    name="control",
    title="this computer",
    people_say="this computer",
    members="this computer",
    about="fab runs here",
    row=0,
    uses=("*.ssh", "balancer.statistics"),
    inside=False,
)
