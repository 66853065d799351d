"""A way to a machine that takes its time: a relay on this computer that holds back what passes."""

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

SIZE = 65536
# Between two looks at what is due.
STEP = 0.01


@contextmanager
def relay(host: str, port: int, delay: float) -> Iterator[int]:
    """Give a port of this computer that leads there, each way so many seconds later."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(STEP)

        def accept() -> None:
            while not over.is_set():
                try:
                    here, _ = listener.accept()
                except TimeoutError:
                    continue
                there = socket.create_connection((host, port), 10)
                threading.Thread(target=_carry, args=(here, there, delay, over)).start()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            thread.join()


def _carry(one: socket.socket, other: socket.socket, delay: float, over: threading.Event) -> None:
    """Carry all that comes on each to the other, in order, until one has ended."""
    waiting: dict[socket.socket, deque[tuple[float, bytes]]] = {one: deque(), other: deque()}
    with one, other, selectors.DefaultSelector() as ready:
        for source, target in ((one, other), (other, one)):
            ready.register(source, selectors.EVENT_READ, target)
        while not over.is_set():
            for key, _ in ready.select(STEP):
                try:
                    data = key.fileobj.recv(SIZE)
                except OSError:
                    return
                waiting[key.data].append((time.monotonic() + delay, data))
                if not data:
                    ready.unregister(key.fileobj)
            for target, packets in waiting.items():
                while packets and packets[0][0] <= time.monotonic():
                    data = packets.popleft()[1]
                    try:
                        target.sendall(data)
                    except OSError:
                        return
                    if not data:
                        return
