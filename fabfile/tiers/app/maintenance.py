"""App servers in maintenance, as a person is told of them."""

from __future__ import annotations

from fabfile.scenario import Scenario


def told(scenario: Scenario) -> str:
    """Return which app servers get no clients, and how they get some again; "" when all do."""
    aside = [each.name for each in scenario.tier("app") if scenario.in_maintenance(each)]
    if not aside:
        return ""
    one = len(aside) == 1
    gets_none = f"and {'gets' if one else 'get'} no clients" if scenario.serving else ""
    return (
        f"{', '.join(aside)} {'is' if one else 'are'} in maintenance, "
        f"{gets_none or 'so nobody serves'}: "
        f"'invoke maintenance --server {aside[0] if one else 'NAME'} off' takes it back"
    )
