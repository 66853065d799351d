"""How many storage servers there may be. Standard library only: config.py is checked with it."""

from __future__ import annotations

from collections.abc import Sequence

from fabfile.scenario.parts import Application, Machine


def mistakes(
    machines: Sequence[Machine], replicas: int, applications: Sequence[Application]
) -> list[str]:
    """Return what is wrong with the number of storage servers and of replicas."""
    count = sum("storage" in machine.tiers for machine in machines)
    servers = sum("app" in machine.tiers for machine in machines)
    if replicas < 3 or replicas % 2 == 0:
        return [f"STORAGE['replicas'] is {replicas}, it must be an odd number, 3 or more"]
    if count >= 3 and count % replicas:
        return [
            f"MACHINES has {count} storage servers, "
            f"it must be a multiple of STORAGE['replicas'] = {replicas}"
        ]
    if not count and servers > 1:
        return [
            f"MACHINES has {servers} app servers and no storage server, and an uploaded file "
            f"would be on one of them only: add {replicas} storage servers, or keep one app server"
        ]
    return []
