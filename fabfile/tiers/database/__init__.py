"""The database tier: PostgreSQL behind PgBouncer, which only the app servers can reach."""

from fabfile.tiers.tier import Listener, Tier

TIER = Tier(
    name="database",
    title="database",
    people_say="a database",
    members="the database server",
    about="PostgreSQL behind PgBouncer",
    row=4,
    least=1,
    most=1,
    listens=(
        Listener("pool", "SQL", port="pool", default=6432),
        Listener("sql", "SQL past the pooler", port="database", default=5432),
        Listener("copying", "what is backed up", port="database_backups", default=8433),
    ),
    uses=("storage.backups",),
    certified=True,
)
