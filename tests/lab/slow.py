"""Clients that take their time, or send what nobody wants: runs where the users are.

It needs nothing but what Debian's python3-minimal holds, as a client of the lab has no more: no
json, no http.client. Sent to a machine as text by `tests.lab.traffic`, which calls `main`.
"""

import select
import socket
import sys
import threading

# What HAProxy holds of a request before it passes it on is 16 kB: a body of less waits there.
SMALL, BIG = 8_000, 1_000_000
FIRST = {SMALL: 100, BIG: 40_000}  # what is sent at once; the rest dribbles
LIMIT = 5  # seconds for a connection, and for an answer
STEP = 0.25  # seconds from one byte of a slow body to the next


def head(settings, path, length):
    """Return the head of a form that is posted."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {settings['host']}\r\nContent-Length: {length}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    ).encode()


def post(settings, path, length, first):
    """Return a connection on which a body of that length has begun."""
    one = socket.create_connection((settings["host"], settings["port"]), LIMIT)
    one.sendall(head(settings, path, length) + first)
    return one


def dribble(settings, number, begun, stop):
    """Send bodies that never end, one after the other: whoever is refused comes again."""
    path = settings["paths"][number % len(settings["paths"])]
    size = (SMALL, BIG)[number // len(settings["paths"]) % 2]
    while not stop.is_set():
        try:
            with post(settings, path, size, b"a" * FIRST[size]) as one:
                begun.release()
                while not stop.is_set() and not select.select([one], [], [], STEP)[0]:
                    one.sendall(b"a")
        except OSError:
            pass  # refused: again, but not at once
        stop.wait(STEP)


def flood(settings, number, begun, stop):
    """Post bodies of 5 MB as fast as they are taken."""
    body = b"a=&" * 1_700_000  # which cost most to take apart
    path = settings["paths"][number % len(settings["paths"])]
    while not stop.is_set():
        try:
            with post(settings, path, len(body), b"") as one:
                begun.release()
                one.sendall(body)
                one.recv(65536)
        except OSError:
            pass
        stop.wait(STEP)


def main(settings):
    """Trouble the application until standard input says so, or `seconds`.

    settings: host, port, seconds, the paths to post to, how many bodies are sent at a time
    (clients), and how: `dribble` or `flood`.
    """
    stop, begun = threading.Event(), threading.Semaphore(0)
    action = {"dribble": dribble, "flood": flood}[settings["how"]]
    threads = [
        threading.Thread(target=action, args=(settings, number, begun, stop))
        for number in range(settings["clients"])
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        if not begun.acquire(timeout=LIMIT):
            raise SystemExit(f"not {len(threads)} bodies have begun within {LIMIT} s")
    print("started", flush=True)
    select.select([sys.stdin], [], [], settings["seconds"])
    stop.set()
    for thread in threads:
        thread.join()
