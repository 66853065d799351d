"""The storage tier: GlusterFS volumes that keep every uploaded file, and backups, several times."""

from fabfile.tiers.tier import Listener, Tier

TIER = Tier(
    name="storage",
    title="storage",
    people_say="a storage server",
    members="the storage servers",
    about="GlusterFS volume, each file kept {replicas} times",
    row=4,
    least=3,
    why_least="to keep a quorum when one is lost",
    optional=True,
    # GlusterFS, administration guide, "Setting up storage": glusterd, and a port a brick upwards.
    listens=(
        Listener("management", "files", numbers=(24007, 24007)),
        Listener("bricks", "files", numbers=(49152, 60999)),
        # etcd, which tells the databases of a pair who of them is the primary.
        Listener("agreement", "who is the primary", numbers=(2379, 2379), pair="database"),
        Listener("members", "who is the primary", numbers=(2380, 2380), pair="database"),
        Listener("backups", "backups", port="backups", default=8432),
    ),
    uses=("storage.management", "storage.bricks", "storage.members", "database.copying"),
    certified=True,
)
