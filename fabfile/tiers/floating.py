"""Addresses that two machines of a tier share: keepalived moves them to the one that works.

VRRP (RFC 9568), to the other machine alone and by no group address. Both begin as backup and with
the same priority, so that whichever has the addresses keeps them until it is gone, or fails: who
comes back takes nothing back. A tier says by its commands what it is to work, and to serve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from fabfile.engine.change import Resource
from fabfile.engine.remote import Remote
from fabfile.engine.resources import Packages, Run, Service
from fabfile.scenario import Machine, Scenario
from fabfile.tiers.templates import template
from fabfile.tiers.tier import View

LIBRARY = Path(__file__).with_suffix(".sh").read_text()
CONFIGURATION = "/etc/keepalived/keepalived.conf"
# Written on the machine, with the names of its interfaces.
INTERFACES = "/etc/keepalived/crm-interfaces.conf"
PROGRAM = "/usr/local/lib/crm-deployer/name-interfaces"
DROP_IN = "/etc/systemd/system/keepalived.service.d/crm.conf"
UNIT = "keepalived.service"
# By RFC 9568, the other one takes over after three of these and less than one more: a second.
ADVERTISEMENT_SECONDS = 0.3
# That of Debian 12 (2.2.7) ends itself by SIGTERM where scripts have a user other than root, which
# is no fault of what it reads: github.com/acassen/keepalived, issue 2617.
TEST = "{ keepalived --config-test --use-file={} || [ $? -eq 143 ]; }"
# What only a machine has that shared an address: as cheap as nothing where there is none.
_THERE = f"[ -e {CONFIGURATION} ] && grep -qs '^# Written by the deployer' {CONFIGURATION}"


@dataclass(frozen=True)
class Works:
    """Shell commands, run as `user` each second, by which keepalived judges its own machine.

    One on which `works` fails so many times in a row, its `patience`, has no address; where
    `serves` fails, the other one is preferred.
    It starts behind the units of `after`; who has taken the addresses runs `taken`, as root.
    """

    works: str
    serves: str = ""
    user: str = "nobody"
    after: str = ""
    taken: str = ""
    patience: int = 2


def sharing(scenario: Scenario, machine: Machine, tier: str, judged: Works) -> list[Resource]:
    """Say how a machine shares the addresses of its tier, or that it shares none any more."""
    shared = scenario.floating.get(tier)
    if not shared:
        # It may share those of another of its tiers.
        return (
            []
            if scenario.shared(machine)
            else [
                Run(
                    "stop sharing an address",
                    f"{LIBRARY}stop_sharing",
                    unless=f"! {{ {_THERE}; }}",
                )
            ]
        )
    peers = [each for each in scenario.tier(tier) if each != machine]
    program = template(
        PROGRAM,
        mode=0o755,
        to=INTERFACES,
        own={network: str(machine.addresses[network]) for network in shared},
    )
    drop_in = template(DROP_IN, program=PROGRAM, after=judged.after)
    configuration = template(
        CONFIGURATION,
        machine=machine,
        tier=tier,
        interfaces=INTERFACES,
        judged=judged,
        seconds=ADVERTISEMENT_SECONDS,
        instances=[
            {
                "network": network,
                "address": str(address),
                # One for each group on a network: the address is of one group alone.
                "router": int(address) % 255 + 1,
                "own": str(machine.addresses[network]),
                "peers": [str(each.addresses[network]) for each in peers],
            }
            for network, address in shared.items()
        ],
        check=TEST,
    )
    named = Run(
        "name the interfaces of the shared addresses",
        f"{PROGRAM}",
        unless=f"{PROGRAM} named",
        after=(program.key,),
    )
    return [
        Packages("keepalived"),
        program,
        named,
        drop_in,
        configuration,
        Service(UNIT, restart=(drop_in.key, program.key, named.key), reload=(configuration.key,)),
    ]


def view(scenario: Scenario, machine: Machine, tier: str) -> View:
    """Return what `status` shows: which of the shared addresses the machine has."""
    shared = scenario.floating.get(tier, {})
    if not shared:
        return View()
    return View((UNIT,), "\n".join(_role(str(address)) for address in shared.values()))


def _role(address: str) -> str:
    has = f'[ -n "$(ip -o -4 addr show to {address}/32)" ]'
    return f"if {has}; then echo '{address}: MASTER'; else echo '{address}: BACKUP'; fi"


def has_any(remote: Remote, addresses: Sequence[str]) -> bool:
    """Tell whether a machine has one of these addresses now; raises MachineError."""
    words = " ".join(f"-e ' {address}/'" for address in addresses)
    return remote.run(f"ip -o -4 addr show | grep -qF {words}").code == 0


class OneByOne:
    """A rollout over the machines of a tier that share an address: who has none comes first.

    Where nobody has it, nobody serves, and all change at once.
    """

    def __init__(self, scenario: Scenario, tier: str) -> None:
        self._addresses = [str(each) for each in scenario.floating[tier].values()]

    def batches(self, remotes: Sequence[Remote]) -> Sequence[Sequence[Remote]]:
        """Return each alone, the one that serves last; the next waits for the one before."""
        having = [each for each in remotes if has_any(each, self._addresses)]
        if not having and len(remotes) > 1:
            return [remotes]
        others = [each for each in remotes if each not in having]
        return [[each] for each in (*others, *having)]

    def around(self, remote: Remote, say: Callable[[str], None]) -> AbstractContextManager[None]:
        """Do nothing: what it does not do meanwhile, the other one does."""
        return nullcontext()
