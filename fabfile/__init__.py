"""The tasks, by tier. The order in which a deployment goes is PIPELINE in pipeline.py."""

from importlib.util import find_spec

# A bare system Python, which has no Invoke, reads nothing but the scenario.
if find_spec("invoke"):
    from invoke import Collection

    from fabfile import lab
    from fabfile.operations import backup, hosts, tasks
    from fabfile.tiers import TIERS

    namespace = Collection(*tasks.ALL)
    for tier in TIERS.values():
        if tier.inside:
            namespace.add_collection(tasks.of_tier(tier))
    namespace.add_collection(tasks.SCENARIO)
    namespace.add_collection(backup.namespace, "backup")
    namespace.add_collection(hosts.namespace, "hosts")
    namespace.add_collection(lab.namespace, "lab")
