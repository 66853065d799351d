"""How a program comes to a machine and its answer back, and what it may need there."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from fabfile.engine.remote import Output
from fabfile.scenario import ROOT
from fabfile.verify.check import Site, judged

PROGRAMS = sorted((ROOT / "fabfile").rglob("programs/*.py"))
# Of what `dpkg -L libpython3.11-minimal` lists (Debian 12; Debian 13 has all of it), or is built
# into the interpreter. No json, no dataclasses and no resource are among it.
MINIMAL = {
    "__future__",
    "collections",
    "errno",
    "hashlib",
    "heapq",
    "os",
    "random",
    "select",
    "socket",
    "struct",
    "subprocess",
    "time",
    "typing",
}


class Here:
    """This computer, in the place of a machine."""

    def pipe(self, command: str, data: bytes, *, seconds: float = 0) -> Output:
        done = subprocess.run(
            ["sh", "-c", f"exec 2>&1; {command}"], input=data, capture_output=True, timeout=seconds
        )
        return Output(done.returncode, done.stdout.decode())


@pytest.fixture
def answer(tmp_path, read):
    """Give a function that runs a program of these lines on `m1`."""
    site = Site(read(), {"m1": Here()})

    def answered(text: str, given: object = None) -> object:
        path = tmp_path / "one.py"
        path.write_text(text)
        return site.program("m1", path, given)

    return answered


@pytest.mark.parametrize(
    "given",
    [None, 3, "a 'b' \"c\"\n", {"a": [1, (2, None)], "b": set()}, "\udcff ñ", b"\0", "x" * 200_000],
)
def test_what_is_given_comes_back_as_it_was(answer, given):
    assert answer("def main(given): return given", given) == given


def test_only_the_last_line_is_the_answer(answer):
    assert answer("print('hello')\ndef main(given): print(given); return 2", 1) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def main(given): raise OSError(5, 'no\\nluck')", "m1: one.py failed: luck"),
        ("def main(given): raise SystemExit('no luck')", "m1: one.py failed: no luck"),
        ("def main(given): raise SystemExit(7)", "m1: one.py failed: exit code 7"),
        ("def main(given): return object", "m1: one.py gave no answer: <class 'object'>"),
        ("import os\ndef main(given): os._exit(0)", "m1: one.py gave no answer: exit code 0"),
        ("def main(given)", "m1: one.py failed: SyntaxError: expected ':'"),
    ],
)
def test_a_failure_is_one_line(answer, text, said):
    with pytest.raises(RuntimeError) as caught:
        answer(text)
    assert str(caught.value) == said


@pytest.mark.parametrize("name", ["two\nlines", "\udcff", "\x1b[31m"])
def test_names_of_files_that_nobody_can_print_are_told_in_one_line(name):
    def fails() -> tuple[bool, str]:
        raise RuntimeError(f"wrong: ñ {name.replace(chr(10), '')}")

    for judge in (lambda: (False, f"ñ {name}"), fails):
        check = judged("storage: all copies are the same", judge)
        assert "ñ" in check.seen and check.seen.isprintable()
        check.seen.encode()


def test_a_file_in_the_home_is_no_module(answer, tmp_path, monkeypatch):
    (tmp_path / "socket.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    assert answer("import socket\ndef main(given): return 1") == 1


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_does_with_what_debian_calls_minimal(path: Path):
    tree = ast.parse(path.read_text())
    needed = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            needed.update(each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            needed.add(node.module.partition(".")[0])
    assert needed <= MINIMAL < sys.stdlib_module_names
    (main,) = [each for each in tree.body if getattr(each, "name", "") == "main"]
    assert len(main.args.args) == 1


def test_all_programs_are_seen():
    assert len(PROGRAMS) >= 8


def test_no_program_is_imported_by_what_runs_here():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, fabfile, fabfile.verify; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "fabfile.verify.perimeter" in done.stdout.split()
    assert ".programs" not in done.stdout
