"""The database tier: PostgreSQL, which only the app servers can reach."""

from fabfile.tiers.tier import Listener, Tier

TIER = Tier(
    name="database",
    title="database",
    people_say="a database",
    members="the database server",
    about="PostgreSQL",
    row=4,
    least=1,
    most=1,
    listens=(
        Listener("sql", "SQL", port="database", default=5432),
        Listener("copying", "what is backed up", port="database_backups", default=8433),
    ),
    uses=("storage.backups",),
    certified=True,
)
