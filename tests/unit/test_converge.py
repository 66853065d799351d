"""How stages follow each other; the work itself is stood in for, as this is about order only."""

import threading

from fabfile.engine import converge
from fabfile.engine.change import Change
from fabfile.engine.converge import Stage, execute
from fabfile.engine.remote import MachineError, Remote


def run(monkeypatch, stages, fail=()):
    ran, lock = [], threading.Lock()

    def apply(remote, changes, markers, on_step):
        with lock:
            ran.append((changes[0].key, remote.name, tuple(markers)))
        if changes[0].key in fail:
            raise MachineError(remote.name, "broke")

    monkeypatch.setattr(converge.script, "apply", apply)
    plan = {
        stage.name: {name: [Change(stage.name, "do it", "true")] for name in stage.machines}
        for stage in stages
    }
    names = {name for stage in stages for name in stage.machines}
    remotes = {name: Remote(name, None) for name in names}
    return execute(plan, stages, remotes, lambda *_: None), ran


def stage(name, machines=("m1",), after=()):
    return Stage(name, tuple(machines), lambda _: [], tuple(after))


def test_a_stage_runs_after_what_it_comes_after(monkeypatch) -> None:
    stages = [stage("c", after=("b",)), stage("b", after=("a",)), stage("a", ("m1", "m2"))]
    report, ran = run(monkeypatch, stages)
    assert [key for key, *_ in ran] == ["a", "a", "b", "c"]
    assert (report.done, report.not_started) == (["a", "b", "c"], [])


def test_a_failure_stops_what_comes_after_and_nothing_else(monkeypatch) -> None:
    stages = [stage("a"), stage("b", after=("a",)), stage("c", after=("b",)), stage("d", ("m2",))]
    report, _ = run(monkeypatch, stages, fail=("a",))
    assert (report.done, report.failed, report.not_started) == (["d"], ["a"], ["b", "c"])


def test_the_errors_of_all_machines_are_kept(monkeypatch) -> None:
    report, _ = run(monkeypatch, [stage("a", ("m1", "m2", "m3"))], fail=("a",))
    assert sorted(error.machine for error in report.errors) == ["m1", "m2", "m3"]


def test_a_stage_whose_predecessor_is_not_asked_for_runs(monkeypatch) -> None:
    report, _ = run(monkeypatch, [stage("b", after=("a",))])
    assert report.done == ["b"]
