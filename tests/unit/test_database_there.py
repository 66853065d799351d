"""Whether a database is there: one that nobody can answer for is not taken for one that is not."""

import subprocess

import pytest

from fabfile.tiers.database import cluster, state

# At first nobody answered; the second question is what decides.
LATER = {
    "it is there": ("echo t", "done\n"),
    "it is not": ("echo f", ""),
    "nobody answers": ("return 1", "unknown\n"),
}


@pytest.mark.parametrize(("answer", "expected"), LATER.values(), ids=LATER)
def test_a_cluster_that_began_to_answer_between_two_questions(scenario, answer, expected):
    (machine,) = scenario.tier("database")
    desired = state.desired(scenario, machine)
    (database,) = (each for each in desired if isinstance(each, state.Database))
    functions = f"ask() {{ {answer}; }}\nhas_data() {{ :; }}\n"
    # In the place of the cluster's own functions, behind them.
    probe = database.probe().replace(cluster.SHELL, f"{cluster.SHELL}{functions}")
    script = f"inventory=\nhas_line() {{ return 1; }}\n{probe}"
    done = subprocess.run(["sh", "-eu"], input=script, capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.returncode) == (expected, 0), done.stderr
