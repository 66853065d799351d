"""The part of the lab that runs through sudo: `python -m fabfile.lab.root`, a request on stdin."""

from __future__ import annotations

import json
import sys

from fabfile.lab.actions import perform
from fabfile.lab.host import LabError
from fabfile.lab.planning import Request
from fabfile.scenario import ScenarioError, load
from fabfile.scenario.inventory import parsed


def main() -> int:
    """Perform the request; print what it answers as JSON, or what failed, and answer the code."""
    question = json.load(sys.stdin)
    try:
        inventory = parsed(question.pop("inventory"))
        scenario = load(question.pop("config"), inventory)
        question["machines"] = tuple(question["machines"])
        answer = perform(scenario, Request(**question))
    except (LabError, ScenarioError) as error:
        print(error, file=sys.stderr)
        return 1
    if answer is not None:
        json.dump(answer, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
