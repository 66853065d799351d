"""A client that knocks at closed doors the whole time, to see whether one opens for a moment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.lab.commands import wait_for

UNIT, FOUND = "knocking", "/run/knocked"
# Prints "ready" when the one open door has answered, then each other one that answers, be it by a
# refusal. Each is tried about 50 times a second, for a second.
PROGRAM = """
import select, socket, time
door, doors = DOORS
socket.create_connection(door, 10).close()
print("ready", flush=True)
tries, poll, known = {}, select.epoll(), set()
while True:
    for target in doors:
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(target)
        poll.register(one, select.EPOLLOUT)
        tries[one.fileno()] = one, target, time.monotonic() + 1
    time.sleep(0.02)
    for number, _ in poll.poll(0):
        one, target, _ = tries.pop(number)
        if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (0, 111) and target not in known:
            known.add(target)
            print(*target, flush=True)
        one.close()
    now = time.monotonic()
    for number in [number for number, (_, _, end) in tries.items() if end < now]:
        tries.pop(number)[0].close()
"""


@contextmanager
def closed(lab) -> Iterator[Callable[[], list[str]]]:
    """Have c1 knock at closed doors, and give a function that says which of them answered."""
    doors = [
        (lab.address("fw", "lan1"), 22),
        (lab.address("fw", "lan2"), 22),
        (lab.address("lb", "lan2"), 22),
        (lab.address("lb", "lan3"), 22),
    ]
    program = PROGRAM.replace("DOORS", repr(((lab.address("lb", "lan2"), 80), doors)))
    lab.do("c1", f"cat > /run/{UNIT}.py <<'END'\n{program}END\n")
    start = (
        f"systemd-run -q --unit={UNIT} -p StandardOutput=truncate:{FOUND} python3 /run/{UNIT}.py"
    )
    lab.do("c1", start)

    def answered() -> list[str]:
        return [line for line in lab.do("c1", f"cat {FOUND}").splitlines() if line != "ready"]

    try:
        wait_for("the client to knock", lambda: "ready" in lab.do("c1", f"cat {FOUND}"), 10)
        yield answered
        assert lab.do("c1", f"systemctl is-active {UNIT}") == "active\n"
    finally:
        lab.do("c1", f"systemctl stop {UNIT}; rm -f /run/{UNIT}.py")
