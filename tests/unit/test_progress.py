"""What a person sees of a run: plain lines in a pipe, a line a machine in a terminal."""

import re
import time
from io import StringIO

import pytest
from invoke.exceptions import Exit
from rich.console import Console

from fabfile.engine.converge import DONE, FAILED, LOOK
from fabfile.operations import progress
from fabfile.operations.progress import Progress, interruptible


@pytest.fixture
def output(monkeypatch):
    """Give a function that puts a console of that kind in the place of the real one."""

    def output(terminal, width=80, height=24):
        file = StringIO()
        options = {"force_terminal": terminal, "color_system": None, "soft_wrap": True}
        console = Console(file=file, width=width, height=height, **options)
        monkeypatch.setattr(progress, "console", console)
        return file

    return output


def said(file):
    """Return the lines, with # for each number of seconds: a busy computer takes its time."""
    return re.sub(r"[0-9.]+ s\b", "# s", file.getvalue()).splitlines()


def picture(shown):
    with progress.console.capture() as captured:
        progress.console.print(shown)
    return captured.get().splitlines()


def test_plain_lines_say_what_begins_and_how_it_ended(output):
    file = output(terminal=False)
    shown = Progress({"s1": ["app"], "s2": ["app"]})
    with shown.shown():
        shown.step("s1", "app", "create [it]")
        shown.step("s2", "app", "create it")
        shown.step("s2", "app", FAILED)
        shown.step("s1", "app", DONE)
    assert said(file) == [
        "s1     app       create [it]",
        "s2     app       create it",
        "s2     app       failed (# s)",
        "s1     app       done (# s)",
    ]


def test_plain_lines_name_a_step_that_took_long(output, monkeypatch):
    file = output(terminal=False)
    monkeypatch.setattr(progress, "LONG_SECONDS", 0)
    shown = Progress({"s1": ["app"]})
    shown.step("s1", "app", "install it")
    shown.step("s1", "app", DONE)
    assert "s1     app       install it: took # s" in said(file)


def test_a_silence_is_broken_by_a_line_that_says_who_is_at_work(output, monkeypatch):
    file = output(terminal=False)
    monkeypatch.setattr(progress, "LONG_SECONDS", 1)
    shown = Progress({"s1": [LOOK], "s2": [LOOK]})
    with shown.looking():
        shown.step("s2", LOOK, "connect")
        deadline = time.monotonic() + 30
        while not file.getvalue():
            assert time.monotonic() < deadline, "30 s of silence"
            time.sleep(0.05)
    assert said(file)[0] == "still at work: s2 (look, # s)"


def test_looking_prints_no_plain_lines(output):
    file = output(terminal=False)
    shown = Progress({"s1": [LOOK]})
    with shown.looking():
        shown.step("s1", LOOK, "connect")
        shown.step("s1", LOOK, DONE)
    assert file.getvalue() == ""


def test_a_machine_waits_for_its_next_stage_and_is_not_started_at_last(output):
    output(terminal=True)
    shown = Progress({"s1": ["app", "serve"], "s2": ["serve"]})
    with shown.shown():
        shown.step("s1", "app", "create it")
        shown.step("s1", "app", DONE)
        assert [line.stage for line in shown._lines.values()] == ["serve", "serve"]
        assert [line.summary for line in shown._lines.values()] == ["waits", "waits"]
    assert all(line.split()[-2:] == ["not", "started"] for line in picture(shown._table()))


@pytest.mark.parametrize("width", [40, 80, 200])
def test_sixty_machines_fit_into_a_window_with_those_at_work_first(output, width):
    output(terminal=True, width=width)
    names = [f"s{number}" for number in range(1, 61)]
    shown = Progress({name: ["app"] for name in names})
    shown.step("s60", "app", "create " + "a very long name " * 20)
    lines = picture(shown._table())
    assert lines[0].startswith("s60 ")
    assert "39 more machines" in lines[-1]
    # A terminal's own ^C needs two columns: without them it begins a line.
    assert len(lines) == 22 and max(map(len, lines)) <= width - 2


def test_an_interrupt_is_one_sentence_and_its_own_exit_code():
    with pytest.raises(Exit) as caught, interruptible("Nothing was changed."):
        raise KeyboardInterrupt
    assert (caught.value.code, caught.value.message) == (130, "Interrupted. Nothing was changed.")
