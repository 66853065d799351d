"""Services of systemd: what is done to bring one about, and what its journal shows of a failure."""

import subprocess

import pytest

from fabfile.engine.resources import Service, services

NOTHING = frozenset()
UP = "ActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=no\nLoadState=loaded\n"
SERVICE = Service("a.service", restart=("/etc/a",), reload=("/etc/b",))


@pytest.mark.parametrize(
    ("facts", "changed", "summary", "marker"),
    [
        (UP, set(), None, None),
        (UP, {"/etc/c"}, None, None),
        (UP, {"/etc/a"}, "restart a.service", "restart a.service"),
        (UP, {"/etc/b"}, "reload a.service", "reload a.service"),
        (UP, {"/etc/a", "/etc/b"}, "restart a.service", "restart a.service"),
        (UP + "restart\n", set(), "restart a.service", "restart a.service"),
        (UP + "reload\n", set(), "reload a.service", "reload a.service"),
        (UP.replace("=active", "=failed"), set(), "start a.service", ""),
        (UP + "dead\n", set(), "restart a.service", "restart a.service"),
        (UP.replace("=active", "=inactive") + "dead\n", set(), "start a.service", ""),
        (UP.replace("=enabled", "=disabled"), set(), "enable a.service", ""),
        (UP.replace("Reload=no", "Reload=yes"), set(), "reread the unit file of a.service", ""),
        ("", set(), "enable and start a.service", ""),
        ("", {"/etc/a"}, "enable and start a.service", "restart a.service"),
    ],
)
def test_a_service(facts, changed, summary, marker):
    change = SERVICE.plan(facts, changed)
    assert (change and change.summary) == summary
    assert (change and change.marker) == marker


def test_a_restart_on_demand_is_the_one_that_a_change_would_make():
    demanded, owed = SERVICE.restarting(), SERVICE.plan(UP + "restart\n", NOTHING)
    assert (demanded.summary, demanded.marker) == ("restart a.service", "restart a.service")
    assert demanded == owed


TRACE = """\
Exception in worker process
Traceback (most recent call last):
  File "arbiter.py", line 1
    start()
  File "base.py", line 2
    load()
  File "wsgi.py", line 3
    fail()
RuntimeError: broken
Error: broken
    at first
    at second
    at third
"""


CHAIN = """
During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "main.py", line 4
    run()
HaltServer: failed to boot
"""


def journal(printed: str) -> str:
    """Return what is shown of a journal."""
    script = f"journalctl() {{ cat; }}\n{services.LIBRARY}\njournal some.service\n"
    done = subprocess.run(
        ["sh", "-euc", script], input=printed, capture_output=True, text=True, timeout=20
    )
    assert done.stderr == ""
    return done.stdout


def test_the_journal_of_a_unit_shows_each_trace_by_its_ends():
    middle = '    start()\n  File "base.py", line 2\n    load()\n'
    assert journal(TRACE) == TRACE.replace(middle, "    ...\n")


def test_the_journal_shows_only_the_last_line_of_what_failed_after_the_reason():
    shown = journal(TRACE + CHAIN + CHAIN + "a.service: Main process exited\n" + TRACE)
    halts = "HaltServer: failed to boot\n" * 2
    assert shown == journal(TRACE) + halts + "a.service: Main process exited\n" + journal(TRACE)
