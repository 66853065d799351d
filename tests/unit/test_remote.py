"""The limit of what runs on a machine, with a channel that stands in for the network."""

import threading
import time
from types import SimpleNamespace

import pytest

from fabfile.engine.remote import MachineError, Remote
from fabfile.engine.root import READY


class Channel:
    """Takes so many bytes at a time, each time after a while, and says what it is told to."""

    def __init__(
        self, takes: int, pause: float = 0, says: str = "", ends: bool = True, code: int = 0
    ) -> None:
        self.taken = b""
        self.closed = takes < 0
        self.code = code
        self.status_event = threading.Event()
        self._takes, self._pause, self._timeout = takes, pause, 0.0
        self._says = [f"{READY}\n{says}".encode(), b""]
        if ends:
            self.status_event.set()

    def settimeout(self, seconds):
        assert seconds > 0
        self._timeout = seconds

    def send(self, data):
        if self.closed:
            raise OSError("Socket is closed")
        time.sleep(min(self._pause, self._timeout))
        if self._pause > self._timeout:
            raise TimeoutError
        self.taken += data[: self._takes]
        return min(self._takes, len(data))

    def recv(self, _size):
        return self._says.pop(0)

    def close(self):
        self.closed = True

    def shutdown_write(self):
        """Nothing follows."""

    def get_transport(self):
        return SimpleNamespace(close=self.close)

    def makefile_stderr(self):
        return SimpleNamespace(read=lambda: b"")

    def recv_exit_status(self):
        return self.code


@pytest.fixture
def piped(monkeypatch):
    """Give a function that sends input over a channel, and answers what came back."""

    def piped(channel, data, seconds):
        monkeypatch.setattr(Remote, "start", lambda self, command: channel)
        return Remote("m1", SimpleNamespace(user=None)).pipe("cat", data, seconds=seconds).text

    return piped


def test_all_of_the_input_is_sent_in_pieces(piped):
    channel, data = Channel(takes=30_000, says="thanks\n"), bytes(200) * 1000
    assert piped(channel, data, 5) == "thanks\n"
    assert channel.taken == data and not channel.closed


@pytest.mark.parametrize(
    "channel",
    [Channel(takes=1, pause=0.1), Channel(takes=10, pause=60), Channel(takes=1000, ends=False)],
    ids=["takes little", "takes nothing", "does not end"],
)
def test_the_limit_is_one_for_all(piped, channel):
    begin = time.monotonic()
    with pytest.raises(MachineError, match="m1: not finished within 0 s"):
        piped(channel, bytes(1000), 0.3)
    assert channel.closed and time.monotonic() - begin < 3


@pytest.mark.parametrize("takes", [0, -1])
def test_what_ends_without_its_input_has_said_why(piped, takes):
    assert piped(Channel(takes, says="busy\n"), bytes(10), 5) == "busy\n"


def test_a_lost_connection_is_told_as_one(piped):
    with pytest.raises(MachineError, match="the connection broke"):
        piped(Channel(takes=-1, code=-1), bytes(10), 5)
