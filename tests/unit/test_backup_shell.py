"""The shell of the backups: it waits for others and says for what, and asks for room."""

import subprocess
from pathlib import Path

import pytest

from fabfile.tiers.database import copying
from fabfile.tiers.storage import repository

DATABASE = Path(copying.__file__).parent
WAITS = "waiting for a copy that is made\n"


@pytest.mark.parametrize(
    ("holds", "seconds", "code", "said"),
    [(0, 1, 3, "done\n"), (0.5, 0, 3, f"{WAITS}done\n"), (60, 1, repository.BUSY, WAITS)],
)
def test_what_a_person_wants_waits_and_says_for_what(tmp_path, holds, seconds, code, said):
    path = tmp_path / "one"
    holder = subprocess.Popen(
        ["flock", "-F", f"{path}.lock", "sh", "-c", f"echo; exec sleep {holds}"], stdout=-1
    )
    try:
        holder.stdout.readline()
        if not holds:
            holder.wait()
        shell = repository.waiting(
            str(path), "sh -c 'echo done; exit 3'", "a copy that is made", seconds
        )
        done = subprocess.run(["sh", "-euc", shell], capture_output=True, text=True)
    finally:
        holder.kill()
    assert done.returncode == code and done.stdout.startswith(said)


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
