"""Operations that are killed by -9 at a moment that a seed names, while clients write.

What is shared by the campaign and by the few of them that every run of the tests makes.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tests.lab.commands import as_root, run, wait_for
from tests.lab.lab import BIN, Lab
from tests.lab.load import Load
from tests.lab.scaled import apps, assert_file_and_process_agree, machines, restore, statuses
from tests.lab.stopped import await_unlocked
from tests.lab.test_interrupted import RESTS, change_application
from tests.lab.test_scaling import releases

# Beside what the operation itself does: the computer works on ten machines, clients and checks.
LIMIT = 300
CLIENTS = {"kept": 2, "new": 2, "writers": 1, "interval": 0.25, "write_interval": 0.5}
# The rules of a firewall that are on trial: the timer that takes them back runs.
ON_TRIAL = "systemctl is-active fw-back.timer || :"


@dataclass(frozen=True)
class Operation:
    """Something that a person runs: how it is brought about, and how long it takes at least.

    `done` tells whether one that was killed had done its work already, and is not to be run again;
    it gets the release that ran before.
    """

    name: str
    words: tuple[str, ...]
    seconds: float
    prepare: Callable[[Lab], None] = lambda lab: None
    done: Callable[[Lab, str], bool] = lambda lab, release: False


@dataclass
class Outcome:
    """A line of the table."""

    seed: int
    operation: str
    killed_after: float = 0
    repaired_in: float = 0
    requests: int = 0
    failed: int = 0
    written: int = 0
    lost: int = 0
    result: str = ""

    HEAD = "seed  operation      killed after  repaired in  requests  failed  writes  lost  result"

    def __str__(self) -> str:
        return (
            f"{self.seed:4}  {self.operation:13}  {self.killed_after:10.1f} s  "
            f"{self.repaired_in:9.1f} s  {self.requests:8}  {self.failed:6}  {self.written:6}  "
            f"{self.lost:4}  {self.result}"
        )


def drift(lab: Lab) -> None:
    """Bring about work for deploy on each tier, of which the users notice nothing yet."""
    change_application()
    lab.do("lb", "echo '# by hand' >>/etc/haproxy/haproxy.cfg")
    lab.do("fw", "iptables -I FORWARD -p tcp --dport 9 -j DROP")
    lab.do("bbdd", "echo '# by hand' | tee -a /etc/postgresql/*/main/pg_hba.conf")
    lab.do("s2", "rm /etc/crm-deployer/crm.env")


def two_releases(lab: Lab) -> None:
    """Have a release to go back to."""
    change_application()
    lab.fab("deploy", limit=LIMIT)


def with_s4(lab: Lab) -> None:
    """Have a server to remove."""
    lab.invoke("add-server", "--name", "s4", limit=LIMIT)


def without_machine(lab: Lab) -> None:
    """Have a machine to make, and one to start."""
    program = (
        "from fabfile.lab import machines; from fabfile.scenario import load; "
        "machines.remove(load().lab, 's3')"
    )
    as_root(sys.executable, "-c", program, environment=lab.environment(), limit=60)
    lab.hang_up("s3")
    lab.invoke("lab.stop", "nas3", "--kill")
    lab.hang_up("nas3")
    wait_for("HAProxy to notice", lambda: statuses(lab)["s3"] == "DOWN", 30)
    # Access to the volume freezes for a moment.
    wait_for("the volume to be there", lambda: lab.get("health").status_code == 200, 30)


OPERATIONS = (
    Operation("deploy", ("fab", "deploy"), 12, drift),
    Operation(
        "add-server",
        ("invoke", "add-server", "--name", "s4"),
        8,
        done=lambda lab, release: "s4" in apps(),
    ),
    Operation(
        "remove-server",
        ("invoke", "remove-server", "--name", "s4"),
        3,
        with_s4,
        done=lambda lab, release: "s4" not in apps(),
    ),
    Operation("scale", ("invoke", "scale", "--servers", "5"), 10),
    Operation(
        "app.rollback",
        ("fab", "app.rollback"),
        6,
        two_releases,
        done=lambda lab, release: {*releases(lab).values()} == {release},
    ),
    Operation("app.restart", ("fab", "app.restart"), 6),
    Operation("backup.restore", ("invoke", "backup.restore", "--yes"), 10),
    Operation("lab.up", ("invoke", "lab.up"), 3, without_machine),
)


def chosen(seed: int) -> tuple[Operation, float]:
    """Return the operation of a seed, and after which share of its time it is killed."""
    return OPERATIONS[seed % len(OPERATIONS)], random.Random(seed).random()


def interrupt(lab: Lab, seed: int, verified: bool = True) -> Outcome:
    """Kill the operation of a seed under load, run it again, and answer what came of it.

    The outcome's `result` says what is not as it was before. `verified` has all of verify's checks
    made, too.
    """
    operation, share = chosen(seed)
    outcome = Outcome(seed, operation.name)
    try:
        _interrupt(lab, operation, share, outcome)
        ok, checks = lab.checks(None) if verified else (True, [])
        assert ok, f"false: {[each['name'] for each in checks if not each['ok']]}"
        outcome.result = "as before"
    except AssertionError as error:
        outcome.result = " ".join(str(error).split())[:500]
    try:
        settle(lab)
        lab.sql("DELETE FROM customers WHERE name LIKE 'Load %'", "crm")
    except AssertionError as error:
        outcome.result += f"; and was not repaired: {' '.join(str(error).split())[:500]}"
    return outcome


def settle(lab: Lab) -> None:
    """Have the servers of config.py and nothing to do, whatever a killed operation has left."""
    await_unlocked(lab)
    lab.invoke("lab.up", limit=LIMIT)
    lab.fab("deploy", limit=LIMIT)
    restore(lab)


def _interrupt(lab: Lab, operation: Operation, share: float, outcome: Outcome) -> None:
    before = releases(lab)["s1"]
    operation.prepare(lab)
    load = Load(lab.scenario.url, lab.scenario.secret("administrator_password"), **CLIENTS)
    words = operation.words
    with load.running():
        wait_for("two writes", lambda: len(load.written) >= 2, 30)
        kept = None
        if operation.name == "backup.restore":
            kept, second = _moment(load)
            words = (*words, "--to", second)
        outcome.killed_after = kill(lab, operation, words, share)
        begin = time.monotonic()
        await_unlocked(lab)
        if not operation.done(lab, before):
            lab_run(lab, words)
        if operation.name == "app.rollback":
            assert operation.done(lab, before), f"not back on {before}: {releases(lab)}"
        lab.fab("deploy", limit=LIMIT)
        outcome.repaired_in = time.monotonic() - begin
        lab.await_seen()
    outcome.requests, outcome.failed = len(load.seen), len(load.errors)
    if kept is not None:
        load.written[:] = kept
    outcome.written = len(load.written)
    errors = [f"{kind}: {what}" for kind, what, *_ in load.errors]
    lost = load.lost()
    outcome.lost = len(lost)
    load.clean()
    if operation.name == "lab.up":
        lab.await_healed()
    check(lab, operation)
    assert not lost, f"lost: {lost}"
    # While the database is brought back, the application stands still: who has asked is told.
    assert operation.name == "backup.restore" or not errors, f"failed: {errors}"


def _moment(load: Load) -> tuple[list, str]:
    """Return the writes that are acknowledged by now, and a moment behind them all.

    Nothing is written between them and the moment that was not acknowledged.
    """
    time.sleep(1)  # the subject: the moment is in the past, and time has passed before it
    kept, second = list(load.written), datetime.now()
    time.sleep(1)
    return kept, second.strftime("%Y-%m-%d %H:%M:%S.%f")


def kill(lab: Lab, operation: Operation, words: tuple[str, ...], share: float) -> float:
    """Start the operation and kill all of its processes at that share of its time.

    Answers after how many seconds that was. One that was faster than it ever takes is brought
    about and started again, to be killed earlier.
    """
    seconds = operation.seconds
    for _ in range(3):
        begin = time.monotonic()
        process = _started(lab, words)
        try:
            process.wait(share * seconds)
        except subprocess.TimeoutExpired:
            took = time.monotonic() - begin
            os.killpg(process.pid, signal.SIGKILL)
            # It has hit one that ran: it did not end by itself.
            assert process.wait() == -signal.SIGKILL, process.returncode
            return took
        assert process.returncode == 0, f"it ended with {process.returncode} by itself"
        seconds = (time.monotonic() - begin) * 0.9
        settle(lab)
        operation.prepare(lab)
    raise AssertionError(f"{operation.name} ended by itself each time")


def _started(lab: Lab, words: tuple[str, ...]) -> subprocess.Popen:
    program, *rest = words
    return subprocess.Popen(
        [BIN / program, *rest],
        env=lab.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def lab_run(lab: Lab, words: tuple[str, ...]) -> None:
    """Run the operation once more, to its end."""
    program, *rest = words
    run(BIN / program, *rest, environment=lab.environment(), limit=LIMIT)


def check(lab: Lab, operation: Operation) -> None:
    """See that nothing is left of the operation that was killed, and all of what it was to do."""
    assert lab.do("fw", ON_TRIAL) == "inactive\n", "the firewall's rules are on trial"
    done = lab.fab("deploy", limit=LIMIT)
    assert "0 changes" in done.out, f"there was something to change: {done.out}"
    wanted = {"scale": 5, "add-server": 4}.get(operation.name, 3)
    seen = statuses(lab)
    assert {*seen} == {*apps()} and len(seen) == wanted, f"servers: {seen}, wanted {wanted}"
    assert {*seen.values()} == {"UP"}, f"servers: {seen}"
    assert_file_and_process_agree(lab)
    for name in ("fw", "lb", "bbdd", "nas1", "nas2", "nas3", "s1", "s2", "s3"):
        rests = lab.do(name, RESTS)
        assert rests == "", f"rests on {name}: {rests}"
    assert {*machines(lab)} == {*lab.names, *apps()}, f"machines: {machines(lab)}"
