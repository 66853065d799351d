"""What the shell conditions on an app server make of what answers on a port, or does not."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fabfile.engine.resources import Port
from fabfile.engine.survey import surveyed
from fabfile.tiers.app import health

UNIT = "no-such.service"


@contextmanager
def listening(answer: str) -> Iterator[int]:
    """Listen on a port, and answer each request so, or not at all."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                held.append(connection)
                if answer:
                    connection.sendall(answer.encode())

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()


def holds(condition: str) -> bool:
    return subprocess.run(["sh", "-c", condition], capture_output=True, timeout=20).returncode == 0


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("HTTP/1.0 200 OK\r\n", True),
        ("HTTP/1.0 503 Service Unavailable\r\n", True),
        ("SSH-2.0-OpenSSH\r\n", False),
        ("", False),
    ],
)
def test_any_answer_of_http_is_a_sign_of_life(monkeypatch, answer, wanted):
    monkeypatch.setattr(health, "ATTEMPT_SECONDS", 0.3)
    with listening(answer) as port:
        assert holds(health.responsive(port, "/health", 30)) is wanted


def test_a_stranger_that_answers_is_not_healthy():
    with listening("HTTP/1.0 200 OK\r\n") as port:
        assert not holds(health.healthy(UNIT, port, ["/health"]))


@contextmanager
def pages(statuses: dict[str, int]) -> Iterator[int]:
    """Listen on a port, and answer each page with its status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.get(self.path, 404))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_all_pages_must_answer_well_and_the_one_that_does_not_is_named():
    odd = "/it's 100%?a=$HOME&b=\\n".replace(" ", "%20")
    with pages({"/health": 200, odd: 200, "/page": 500}) as port:
        assert holds(health.answers_well(port, ["/health", odd]))
        condition = health.answers_well(port, ["/health", "/page", odd])
        done = subprocess.run(["sh", "-c", condition], capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    assert [line.split()[:3:2] for line in done.stdout.splitlines()] == [
        ["/health:", "200"],
        ["/page:", "500"],
    ]


def test_a_port_names_who_listens_unless_it_is_known():
    with listening("") as port:
        for known, lines in (("false", 1), ("true", 0)):
            resource = Port(port, (), known=known)
            probe = f"{surveyed([resource])}\n{resource.probe()}"
            done = subprocess.run(["sh", "-c", probe], capture_output=True, text=True, timeout=20)
            assert len(done.stdout.splitlines()) == lines, done.stdout
