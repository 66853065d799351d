"""How stages follow each other; the work itself is stood in for, as this is about order only."""

import threading
from contextlib import contextmanager

import pytest

from fabfile.engine import converge
from fabfile.engine.change import Change, Refused
from fabfile.engine.converge import MachineErrors, Stage, execute
from fabfile.engine.planning import make_plan
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


def test_a_restart_is_marked_by_what_causes_it_and_by_nothing_before(monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(
        converge.script, "apply", lambda remote, changes, markers, say: seen.append(markers)
    )
    restart = Change("service", "restart", "true", marker="restart x", causes={"file"})
    plan = {
        "ship": {"m1": [Change("archive", "unpack", "true")]},
        "configure": {"m1": [Change("file", "write", "true")]},
        "serve": {"m1": [restart]},
    }
    stages = [
        stage("ship"),
        stage("configure", after=("ship",)),
        stage("serve", after=("configure",)),
    ]
    execute(plan, stages, {"m1": Remote("m1", None)}, lambda *_: None)
    assert seen == [[], ["restart x"], []]


class OneByOne:
    """A rollout of one machine at a time, that says what happens around each."""

    def __init__(self, ran) -> None:
        self.ran = ran

    def batches(self, remotes):
        return [[remote] for remote in remotes]

    @contextmanager
    def around(self, remote, say):
        self.ran.append(f"before {remote.name}")
        yield
        self.ran.append(f"after {remote.name}")


def rollout(monkeypatch, fail=()):
    ran = []

    def apply(remote, changes, markers, say):
        ran.append(f"change {remote.name}")
        if remote.name in fail:
            raise MachineError(remote.name, "broke")

    monkeypatch.setattr(converge.script, "apply", apply)
    names = ("m1", "m2", "m3")
    serve = Stage("serve", names, lambda _: [], (), OneByOne(ran))
    plan = {"serve": {name: [Change("it", "do it", "true")] for name in names}}
    remotes = {name: Remote(name, None) for name in names}
    return execute(plan, [serve], remotes, lambda *_: None), ran


def test_machines_of_a_rollout_change_one_after_the_other(monkeypatch) -> None:
    _, ran = rollout(monkeypatch)
    steps = ("before", "change", "after")
    assert ran == [f"{step} {name}" for name in ("m1", "m2", "m3") for step in steps]


def test_when_the_first_of_a_rollout_fails_no_other_is_touched(monkeypatch) -> None:
    report, ran = rollout(monkeypatch, fail=("m1",))
    assert ran == ["before m1", "change m1"]
    assert report.failed == ["serve"]


class Refusing:
    """A resource that must not be brought about."""

    key = "refusing"

    def probe(self):
        return ":"

    def plan(self, facts, changed):
        raise Refused("it holds something that would be lost")


def test_what_is_refused_on_any_machine_is_said_of_all_before_a_change(monkeypatch) -> None:
    monkeypatch.setattr(Remote, "connect", lambda self: None)
    monkeypatch.setattr(
        converge.script, "probe", lambda remote, resources: ("debian 12", [""] * len(resources))
    )
    stages = [Stage("a", ("m1", "m2"), lambda _: [Refusing()])]
    with pytest.raises(MachineErrors) as errors:
        make_plan(stages, {name: Remote(name, None) for name in ("m1", "m2")})
    assert [str(error) for error in errors.value.errors] == [
        "m1: it holds something that would be lost",
        "m2: it holds something that would be lost",
    ]


class Named:
    """A resource that prints the system that it is for."""

    def __init__(self, system: str) -> None:
        self.key = self.system = system

    def probe(self):
        return f"echo {self.system}"

    def plan(self, facts, changed):
        return Change(self.key, f"for {self.system}", ":")


def test_a_machine_of_another_system_than_was_known_is_looked_at_again(monkeypatch) -> None:
    looks = []

    def probe(remote, resources):
        looks.append((remote.name, [resource.system for resource in resources]))
        return f"debian {12 if remote.name == 'm1' else 13}", [""]

    monkeypatch.setattr(Remote, "connect", lambda self: None)
    monkeypatch.setattr(converge.script, "probe", probe)
    systems = {"m1": "debian 12"}
    stages = [Stage("a", ("m1", "m2"), lambda name: [Named(systems.get(name, "debian 12"))])]
    remotes = {name: Remote(name, None) for name in ("m1", "m2")}
    plan = make_plan(stages, remotes, systems=systems)
    assert plan["a"]["m2"][0].summary == "for debian 13"
    assert sorted(looks) == [("m1", ["debian 12"]), ("m2", ["debian 12"]), ("m2", ["debian 13"])]
    assert systems == {"m1": "debian 12", "m2": "debian 13"}
    looks.clear()
    make_plan(stages, remotes, systems=systems)
    assert len(looks) == 2
