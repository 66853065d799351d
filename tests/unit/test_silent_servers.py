"""An SSH server that lets us in and falls silent at some point: a sentence, within the limit."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import paramiko
import pytest

from fabfile.engine import connecting, remote
from fabfile.engine.converge import MachineErrors
from fabfile.engine.remote import Absent, MachineError, Remote
from fabfile.operations import session

LIMIT = 1


class Server(paramiko.ServerInterface):
    """Falls silent at the named point, until the test is over."""

    def __init__(self, silent_at: str, over: threading.Event) -> None:
        self._silent_at, self._over = silent_at, over

    def _at(self, point: str) -> None:
        if self._silent_at == point:
            self._over.wait(60)

    def get_allowed_auths(self, _user):
        return "publickey"

    def check_auth_publickey(self, _user, _key):
        self._at("log-in")
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, _kind, _number):
        self._at("session")
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, _channel, _command):
        self._at("command")
        return True


@pytest.fixture
def login(tmp_path, monkeypatch):
    """Give a function that answers a log-in on a server which falls silent at some point."""
    for module in (connecting, remote):
        monkeypatch.setattr(module, "CONNECT_SECONDS", LIMIT)
    host_key, key = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
    key.write_private_key_file(str(tmp_path / "key"))
    over, open_ones = threading.Event(), []

    def serve(listener, silent_at):
        connection, _ = listener.accept()
        if silent_at != "greeting":
            open_ones.append(transport := paramiko.Transport(connection))
            transport.add_server_key(host_key)
            transport.start_server(threading.Event(), Server(silent_at, over))
        over.wait(60)
        connection.close()

    def login(silent_at):
        open_ones.append(listener := socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        known = tmp_path / f"known_hosts-{silent_at}"
        known.write_text(f"[127.0.0.1]:{port} {host_key.get_name()} {host_key.get_base64()}\n")
        threading.Thread(target=serve, args=(listener, silent_at), daemon=True).start()
        return SimpleNamespace(
            host="127.0.0.1", user="ana", port=port, key=tmp_path / "key", known_hosts=known,
            host_from="config.py", key_from="config.py", trust_by="trust",
        )  # fmt: skip

    yield login
    over.set()
    for each in open_ones:
        each.close()


SAID = {
    "greeting": "lets us in, but no SSH server speaks there; does the machine hang?",
    "log-in": "answers no log-in within 1 s; does the machine hang?",
    "session": "it lets us in, and begins no command within 1 s; does the machine hang?",
    "command": "it lets us in, and begins no command within 1 s; does the machine hang?",
}


def test_silence_is_told_in_time_wherever_it_begins(login):
    def told(silent_at):
        there = Remote("m1", login(silent_at))
        begin = time.monotonic()
        with pytest.raises(Absent) as caught:
            there.run(":")
        took = time.monotonic() - begin
        there.close()
        return took, str(caught.value)

    with ThreadPoolExecutor(len(SAID)) as pool:
        found = dict(zip(SAID, pool.map(told, SAID), strict=True))
    for silent_at, (took, sentence) in found.items():
        assert took < 3 * LIMIT, silent_at
        assert sentence.startswith("m1: ") and sentence.endswith(SAID[silent_at])


def test_who_is_silent_is_waited_for_once():
    asked = []
    remotes = {
        name: SimpleNamespace(name=name, run=lambda _, name=name: asked.append(name))
        for name in ("m1", "m2", "m3")
    }
    found = MachineErrors([Absent("m1", "no answer"), MachineError("m2", "refuses")])
    assert session._all_errors(found, remotes) is found
    assert sorted(asked) == ["m2", "m3"]
