"""Shell conditions that tell on a machine whether a process, or the application, works."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from fabfile.engine.resources.ports import listeners

# One slow answer is no sign of a process that hangs: without its database, an application waits
# for a while before it answers, on a machine that may have much else to do.
ATTEMPTS, ATTEMPT_SECONDS = 2, 6
HERE = "localhost"
# Patterns of bash for the first line of an answer.
GOOD, ANY = "*' 200 '*", "HTTP/*"


def works(process: str) -> str:
    """Return a condition: the process of that number is there, and not stopped by a signal."""
    return f'grep -qs "^State:.[RSDI]" "/proc/{process}/status"'


def healthy(unit: str, port: int, pages: Sequence[str], host: str = HERE) -> str:
    """Return a condition: all pages answer 200 here, and it is the unit that answers."""
    ours = f'[ "$({listeners(port)} | cut -d " " -f 2 | sort -u)" = {unit} ]'
    named = f"{{ echo 'port {port} is not, or not only, that of {unit}'; false; }}"
    return f"{{ {ours} || {named}; }} && {answers_well(port, pages, host)}"


def answers_well(port: int, pages: Sequence[str], host: str = HERE) -> str:
    """Return a condition: all pages answer 200 here, whoever it is that answers.

    `host` is the name or address that is asked for, as many applications answer to their own only.
    """
    return " && ".join(_answers(port, page, ATTEMPT_SECONDS, GOOD, host) for page in pages)


def responsive(port: int, page: str, starting: int, host: str = HERE) -> str:
    """Return a condition: the page answers, whatever it says, or has had no time to yet.

    What it says to be away is not brought back by a restart. `starting` is how many seconds
    "$main_pid" may take until it listens.
    """
    attempt = _answers(port, page, ATTEMPT_SECONDS, ANY, host)
    listens = f"ss -Hltn 'sport = :{port}' | grep -q ."
    age = '$(ps -o etimes= -p "$main_pid")'
    starts = f"{{ ! {listens} && [ {age} -lt {starting} ]; }}"
    return f"{{ {' || '.join([attempt] * ATTEMPTS)} || {starts}; }}"


def steady(unit: str, release: str, seconds: int) -> str:
    """Return a condition: a process of the unit runs in the release, and has so for some time."""
    process = f"$(systemctl show -P MainPID {unit})"
    lives = f'"$(ps -o etimes= -p "$process")" -ge {seconds}'
    here = f'"$(readlink "/proc/$process/cwd")" = "$(readlink -f {release})"'
    return f"{{ systemctl -q is-active {unit} && process={process} && [ {here} ] && [ {lives} ]; }}"


def same_files(mount: str, directory: str) -> str:
    """Return a condition: what "$main_pid" sees at a directory is on what is mounted now."""
    # Each mount of a volume has a device number of its own. Of neither there is none to compare.
    devices = f"timeout 5 stat -c %d {mount}/ /proc/$main_pid/root{directory}/"
    return f'{{ set -- $({devices}); [ "$1" = "$2" ]; }}'


def _answers(port: int, page: str, seconds: int, pattern: str, host: str) -> str:
    """Return a condition: the first line of the answer is like the pattern. Bash opens the port."""
    request = f"GET %s HTTP/1.0\\r\\nHost: {host}\\r\\n\\r\\n"
    script = (
        # Which of several it is stands before what it says, if it says anything.
        f'page={shlex.quote(page)}; echo -n "$page: "; '
        f"exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{request}' \"$page\" >&3; "
        f'IFS= read -r line <&3; echo "$line"; [[ $line == {pattern} ]]'
    )
    return f"timeout {seconds} bash -c {shlex.quote(script)}"
