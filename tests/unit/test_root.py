"""The line that login shells get, and the sentences when it does not make us root."""

import subprocess

import pytest

from fabfile.engine.root import READY, SHELL, as_root, why_not_root


@pytest.mark.parametrize("password", [False, True])
def test_no_login_shell_sees_anything_special(password):
    line = as_root("echo 'a!'\necho \\\\", password)
    outside, *words = line.split("'")
    assert outside == "exec sh -c " and words[1::2] == [" ", ""]
    # csh: no line break, no history; fish: no escaped backslash.
    assert not {"\n", "!"} & set(line) and "\\\\" not in line


@pytest.mark.parametrize(
    ("code", "text", "said", "wanted"),
    [
        (1, "This account is closed\n", "", "runs no commands (This account is closed | exit"),
        (127, SHELL, "sh: 1: sudo: not found", "there is no sudo (sh: 1: sudo: not found)"),
        (1, SHELL, "sudo: sorry, you must have a tty to run sudo", "Defaults:ana !requiretty"),
        (1, SHELL, "warning\nsudo: a password is required", "(sudo: a password is required)"),
        (2, SHELL, "sh: cannot open /proc/7/fd/3: Permission denied", "CAP_SYS_PTRACE"),
    ],
)
def test_each_refusal_has_its_remedy(code, text, said, wanted):
    assert wanted in why_not_root("ana", code, text, said, password=False)


def test_a_wrong_password_is_told_as_one():
    said = "sudo: no password was provided\nsudo: 1 incorrect password attempt"
    sentence = why_not_root("ana", 1, SHELL, said, password=True)
    assert sentence == (
        "sudo does not let ana in with the password that was given "
        "(sudo: 1 incorrect password attempt)"
    )


def test_a_sudo_that_asks_for_nothing_leaves_the_password_to_nobody(tmp_path):
    for name, text in {
        "sudo": 'while [ "$1" != sh ]; do shift; done; exec "$@"',
        "id": "echo 1000",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    line = as_root("sh", password=True)
    # Root's shell may be faster than who reads the password, or slower.
    for _ in range(20):
        process = subprocess.Popen(
            ["sh", "-c", line],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        )
        output, _ = process.communicate("a-password\necho what follows\n", timeout=30)
        assert output.splitlines() == [SHELL, READY, "what follows"]
