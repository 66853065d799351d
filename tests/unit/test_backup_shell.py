"""The shell of the backups: it waits for others and says for what, and asks for room."""

import fcntl
import subprocess
from pathlib import Path

import pytest

from fabfile.tiers.database import copying
from fabfile.tiers.storage import repository

DATABASE = Path(copying.__file__).parent
WAITS = "waiting for a copy that is made\n"


@pytest.mark.parametrize(
    ("ends", "seconds", "code", "said"),
    [
        ("before", 1, 3, "done\n"),
        ("meanwhile", 0, 3, f"{WAITS}done\n"),
        (
            "never",
            1,
            repository.BUSY,
            f"{WAITS}another storage server is at it: a copy that is made\n",
        ),
    ],
)
def test_what_a_person_wants_waits_and_says_for_what(tmp_path, ends, seconds, code, said):
    path = tmp_path / "one"
    shell = repository.waiting(
        str(path), "sh -c 'echo done; exit 3'", "a copy that is made", seconds
    )
    with open(f"{path}.lock", "w") as holder:
        if ends != "before":
            fcntl.flock(holder, fcntl.LOCK_EX)
        done = subprocess.Popen(["sh", "-euc", shell], stdout=-1, text=True)
        first = done.stdout.readline()
        if ends == "meanwhile":
            fcntl.flock(holder, fcntl.LOCK_UN)
        rest = done.communicate(timeout=30)[0]
    assert done.returncode == code and first + rest == said


# As scratch.sh and restore.sh ask for room, of a cluster of 100 MiB with 900 MiB free.
ROOM = """
du() { echo "102400 $1"; }
df() { printf 'Avail\\n921600\\n'; }
"""


@pytest.mark.parametrize(
    ("script", "call", "there_is"),
    [
        ("restore.sh", "has_room $((900 << 20))", True),
        ("restore.sh", "has_room $((1001 << 20))", False),
        ("scratch.sh", "has_room $((200 << 20)) $((187 << 20))", True),
        ("scratch.sh", "has_room $((200 << 20)) $((189 << 20))", False),
    ],
)
def test_room_is_asked_for_what_is_needed(tmp_path, script, call, there_is):
    (tmp_path / "main").mkdir()
    text = (DATABASE / script).read_text().replace("/var/lib/postgresql", str(tmp_path))
    given = f"version=17; spare={repository.ROOM}"
    shell = f"{given}\n{text}\n{ROOM}\ndata() {{ echo {tmp_path}/main; }}\n{call}"
    done = subprocess.run(["sh", "-uc", shell], capture_output=True, text=True)
    assert (done.returncode == 0) is there_is and not done.stderr
    assert bool(done.stdout) is not there_is, done.stdout
