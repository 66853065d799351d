"""The app tier: the application's releases, its mounted volume and its service."""

from fabfile.tiers.tier import Listener, Tier

TIER = Tier(
    name="app",
    title="app servers",
    people_say="an app server",
    members="the app servers",
    about="{application} on port {ports[app]}, uploads on the volume",
    row=3,
    least=1,
    listens=(
        Listener("http", "HTTP", port="app", default=3000),
        Listener("volume", "whether the volume answers", port="volume", default=3001),
    ),
    uses=("database.pool", "database.sql", "storage.management", "storage.bricks"),
)
