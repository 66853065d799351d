"""Three interruptions of the campaign, by fixed seeds: see tests/campaign/test_interruptions.py."""

import pytest

from tests.lab.interruptions import chosen, interrupt

# The quickest operations that concern most machines.
SEEDS = {8: "deploy", 9: "add-server", 13: "app.restart"}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_killed_is_finished_by_the_same_command(repaired, seed):
    assert chosen(seed)[0].name == SEEDS[seed]
    # Once for all of them: it takes longer than they do.
    outcome = interrupt(repaired, seed, verified=seed == max(SEEDS))
    print(f"\n{outcome}")
    assert outcome.result == "as before", outcome.result
