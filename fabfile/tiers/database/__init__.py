"""The database tier: PostgreSQL behind PgBouncer, which only the app servers can reach."""

from fabfile.tiers.tier import Listener, Tier

TIER = Tier(
    name="database",
    title="database",
    people_say="a database",
    members="the database server",
    about="PostgreSQL behind PgBouncer",
    row=4,
    floats=True,
    least=1,
    most=2,
    listens=(
        Listener("pool", "SQL", port="pool", default=6432),
        Listener("sql", "SQL past the pooler", port="database", default=5432),
        Listener("others", "SQL", port="database", default=5432),
        Listener("roles", "who is the primary", numbers=(8008, 8008)),
        Listener("vrrp", "who has the shared address", protocol="vrrp"),
        Listener("copying", "what is backed up", port="database_backups", default=8433),
    ),
    uses=(
        "storage.backups",
        "storage.agreement",
        "database.others",
        "database.roles",
        "database.vrrp",
    ),
    certified=True,
)
