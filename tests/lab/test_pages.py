"""An application that is asked for several pages: a server that fails at one gets no users."""

import json
from collections import Counter

import pytest

from tests.lab import places
from tests.lab.commands import wait_for
from tests.lab.other_applications import configuration
from tests.lab.scaled import SOCKET, current, statuses
from tests.pages_sample.wsgi import BROKEN

pytestmark = pytest.mark.installs_packages

NAME = "pages-sample"
SAMPLE = {
    "source": "tests/pages_sample",
    "packages": ["gunicorn"],
    "start": "gunicorn --bind 0.0.0.0:${PORT} --threads 4 wsgi:app",
    "health": ["/health", "/page"],
    "uid": 915,
}
APPS = {"s1", "s2", "s3"}


@pytest.fixture(scope="module")
def config(repaired, tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "config.py"
    configuration(repaired, NAME, SAMPLE, path)
    repaired.fab("deploy", config=path)
    yield path
    repaired.fab("deploy", limit=200)


@pytest.fixture
def pages(lab, config):
    """Give the lab, in which no page is broken before and behind the test."""
    mend(lab, *APPS)
    yield lab
    for name in current().inventory.maintenance:
        lab.invoke("maintenance", "--server", name, "off", config=config)
    mend(lab, *APPS)


def shatter(lab, *names):
    for name in names:
        lab.do(name, f"touch {BROKEN}")


def mend(lab, *names):
    for name in names:
        lab.do(name, f"rm -f {BROKEN}")
    wait_for("all servers up", lambda: {*statuses(lab).values()} == {"UP"}, 20)


def served(lab, page, count=30):
    """Return how often each server answered a page, with each status."""
    answers = [lab.get(page) for _ in range(count)]
    return Counter((each.headers.get("X-Served-By"), each.status_code) for each in answers)


def assert_round_robin(lab):
    def even():
        counts = served(lab, "page")
        fair = max(counts.values()) - min(counts.values()) <= 1
        return (fair and {*counts} == {(name, 200) for name in APPS}) or counts

    wait_for("all servers to take turns", lambda: even() is True, 20)


def await_down(lab, *names):
    down = {name: "DOWN" if name in names else "UP" for name in APPS}
    wait_for(f"{names} to be out", lambda: statuses(lab) == down, 20)


def test_a_second_deploy_changes_nothing(pages, config):
    assert "0 changes" in pages.fab("deploy", config=config).out
    assert_round_robin(pages)


def test_a_server_that_fails_at_a_page_gets_no_users_and_is_named(pages, config):
    shatter(pages, "s2")
    await_down(pages, "s2")
    assert {*served(pages, "page")} == {("s1", 200), ("s3", 200)}
    assert {*served(pages, "health")} == {("s1", 200), ("s3", 200)}
    # What a person asks says so, too.
    rows = json.loads(pages.invoke("status", "--json", config=config).out)
    (sees,) = (row["sees"] for row in rows if row["machine"] == "lb")
    assert sees["s2"].startswith("DOWN (of its pages, the first answers)"), sees
    assert sees["s1"].startswith("UP, "), sees
    done = pages.fab("deploy", config=config, code=1)
    assert f"waited 30 s for {NAME}.service to be healthy" in done.err, done.text
    assert "/page: HTTP/1.0 500" in done.err and "s2 (10." in done.err, done.text
    assert "as DOWN, Layer7 wrong status 500 at /page" in done.err, done.text
    verified = pages.invoke("verify", limit=150, config=config, code=1).out
    assert "every app server answers" in verified and "never answered" in verified, verified
    mend(pages, "s2")
    assert_round_robin(pages)


def test_a_page_that_fails_everywhere_takes_no_server_out(pages, config):
    shatter(pages, *APPS)
    backend = f"echo 'show stat' | {SOCKET} | grep '^app,BACKEND,'"
    wait_for("the page to fail on all", lambda: ",DOWN," in pages.do("lb", backend), 20)
    # All of it but that page is served, and by all in turn.
    assert {*served(pages, "health")} == {(name, 200) for name in APPS}
    assert {*served(pages, "page")} == {(name, 500) for name in APPS}
    rows = json.loads(pages.invoke("status", "--json", config=config).out)
    (sees,) = (row["sees"] for row in rows if row["machine"] == "lb")
    assert "UP (by its first page: no server answers all)" in sees["s2"], sees
    # One that does not answer even the first page is out as ever.
    pages.do("s3", f"systemctl stop {NAME}")
    try:
        wait_for("s3 to be out", lambda: {*served(pages, "health")} == {("s1", 200), ("s2", 200)})
        answers = served(pages, "health")
        assert max(answers.values()) - min(answers.values()) <= 1
    finally:
        pages.do("s3", f"systemctl start {NAME}")
    mend(pages, *APPS)
    assert_round_robin(pages)


def test_no_user_is_refused_while_one_server_after_the_other_fails(pages):
    for name in sorted(APPS):
        shatter(pages, name)
        assert {status for _, status in served(pages, "health", 60)} == {200}
    for name in sorted(APPS):
        pages.do(name, f"rm {BROKEN}")
        assert {status for _, status in served(pages, "health", 60)} == {200}


def test_maintenance_and_restarts_are_as_ever(pages, config):
    pages.invoke("maintenance", "--server", "s2", "on", config=config)
    try:
        states = pages.do("lb", f"echo 'show servers state' | {SOCKET}")
        rows = [line.split() for line in states.splitlines() if " s2 " in line]
        assert {(row[1], row[6]) for row in rows} == {("app", "1"), ("app-alive", "1")}
        shatter(pages, "s1", "s3")
        wait_for(
            "the page to fail",
            lambda: {*served(pages, "page", 9)} == {("s1", 500), ("s3", 500)},
        )
        # The last one that answers its first page is not set aside unasked.
        pages.do("s3", f"systemctl stop {NAME}")
        alone = f"echo 'show stat' | {SOCKET} | grep '^app-alive,s3,'"
        wait_for("s3 to be out", lambda: ",DOWN," in pages.do("lb", alone))
        refused = pages.invoke("maintenance", "--server", "s1", "on", config=config, code=1)
        assert "No app server but s1 is healthy" in refused.err
    finally:
        pages.do("s3", f"systemctl start {NAME}")
        for name in APPS:
            pages.do(name, f"rm -f {BROKEN}")
        pages.invoke("maintenance", "--server", "s2", "off", config=config)
    mend(pages, *APPS)
    pages.fab("app.restart", config=config)
    assert_round_robin(pages)
    assert "0 changes" in pages.fab("deploy", config=config).out


def test_a_release_that_fails_at_a_page_puts_the_canary_back(pages, config, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    text = (places.ROOT / SAMPLE["source"] / "wsgi.py").read_text()
    (source / "wsgi.py").write_text(text.replace("BROKEN.exists()", "True"))
    path = configuration(pages, NAME, {**SAMPLE, "source": str(source)}, tmp_path / "config.py")
    done = pages.fab("deploy", config=path, code=1)
    assert "s1 was put back on release" in done.err and "/page: HTTP/1.0 500" in done.err
    assert_round_robin(pages)
    assert "0 changes" in pages.fab("deploy", config=config).out


def test_servers_come_and_go(pages, config):
    pages.invoke("add-server", "--name", "s4", config=config)
    try:
        assert ("s4", 200) in served(pages, "page")
        assert "0 changes" in pages.fab("deploy", config=config).out
    finally:
        pages.invoke("remove-server", "--name", "s4", config=config)
    backends = pages.do("lb", f"echo 'show servers state' | {SOCKET}")
    assert " s4 " not in backends
    assert "0 changes" in pages.fab("deploy", config=config).out
    assert_round_robin(pages)
