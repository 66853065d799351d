"""What happens before the first request: settings, migrations, seed."""

import os
import runpy
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from application import migrations, settings
from application.database import DatabaseUnavailable
from crm_cluster import Cluster
from manage import main

ROOT = Path(migrations.__file__).parent.parent
GOOD = {
    "DATABASE_URL": "postgresql://crm:hush-hush@127.0.0.1/crm",
    "SECRET_KEY": "s" * 32,
    "UPLOADS": "/srv/uploads",
    "PORT": "8000",
}


def test_good_settings_are_accepted_and_never_shown() -> None:
    loaded = settings.load(GOOD)
    assert loaded.uploads == Path("/srv/uploads")
    assert "hush" not in repr(loaded) and "sss" not in repr(loaded)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "mysql://crm:hush-hush@h/crm"),
        ("DATABASE_URL", "postgresql://crm:hush-hush@h:port:/crm"),
        ("DATABASE_URL", "postgresql://crm:hush-hush%zz@h/crm"),
        ("DATABASE_URL", "postgresql://crm:hush-hush@h"),
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "hush-hush"),
        ("UPLOADS", ""),
        ("UPLOADS", "relative/hush-hush"),
    ],
)
def test_bad_settings_are_one_sentence_without_the_value(name: str, value: str) -> None:
    with pytest.raises(settings.SettingsError, match=name) as caught:
        settings.load(GOOD | {name: value})
    assert "hush" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "0", "65536", "http", "٣"])
def test_bad_port_is_refused(value: str) -> None:
    with pytest.raises(settings.SettingsError, match="PORT"):
        settings.port(GOOD | {"PORT": value})


@pytest.mark.parametrize(
    ("script", "arguments", "missing"),
    [
        ("wsgi.py", [], "DATABASE_URL"),
        ("gunicorn.conf.py", [], "PORT"),
        ("manage.py", ["migrate"], "DATABASE_URL"),
    ],
)
def test_entry_points_end_with_one_sentence(
    script: str, arguments: list[str], missing: str
) -> None:
    environ = {name: value for name, value in (os.environ | GOOD).items() if name != missing}
    ended = subprocess.run(
        [sys.executable, ROOT / script, *arguments], env=environ, capture_output=True, text=True
    )
    assert ended.returncode != 0
    assert ended.stderr.count("\n") == 1 and missing in ended.stderr


def test_the_server_believes_no_header_but_that_of_the_scheme(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    configuration = runpy.run_path(str(ROOT / "gunicorn.conf.py"))
    assert configuration["secure_scheme_headers"] == {"X-FORWARDED-PROTO": "https"}
    kept = [("HOST", "here"), ("X-FORWARDED-FOR", "192.0.2.1")]
    request = SimpleNamespace(headers=[*kept, ("SCRIPT_NAME", "/x"), ("X_FORWARDED_FOR", "1")])
    configuration["pre_request"](None, request)
    assert request.headers == kept


def test_migrations_apply_once(empty_database: str) -> None:
    assert migrations.migrate(empty_database) == [path.stem for path in migrations.available()]
    assert migrations.migrate(empty_database) == []


def test_two_migrations_at_once_apply_everything_once(empty_database: str) -> None:
    applied: list[str] = []
    runs = [
        threading.Thread(target=lambda: applied.extend(migrations.migrate(empty_database)))
        for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert applied == [path.stem for path in migrations.available()]


def test_a_failing_migration_leaves_nothing_of_itself(empty_database: str, tmp_path: Path) -> None:
    tmp_path.joinpath("0001_good.sql").write_text("CREATE TABLE good ();")
    bad = tmp_path / "0002_bad.sql"
    bad.write_text("CREATE TABLE half (); SELECT nonsense;")
    with pytest.raises(migrations.MigrationError, match=r"0002_bad\.sql"):
        migrations.migrate(empty_database, tmp_path)
    bad.write_text("CREATE TABLE half ();")
    assert migrations.migrate(empty_database, tmp_path) == ["0002_bad"]


def test_migrating_without_a_server_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    url = "postgresql://crm:hush-hush@127.0.0.1:1/crm"
    with pytest.raises(DatabaseUnavailable):
        migrations.migrate(url)
    assert main(["migrate"], {"DATABASE_URL": url}) == 1
    assert "hush" not in capsys.readouterr().err


def test_seed_twice(
    cluster: Cluster, empty_database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"DATABASE_URL": empty_database, "ADMIN_LOGIN": "Chief"}
    database = empty_database.partition("?")[0].rpartition("/")[2]
    count = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM customers)"
    assert main(["seed"], environ) == 1
    assert "run migrate first" in capsys.readouterr().err
    assert main(["migrate"], environ) == 0
    assert main(["seed"], environ) == 1
    assert "ADMIN_PASSWORD is not set" in capsys.readouterr().err
    assert main(["seed"], environ | {"ADMIN_PASSWORD": "short"}) == 1
    assert "short" not in capsys.readouterr().err
    assert cluster.execute(count, database) == [(0, 0)]
    assert main(["seed"], environ | {"ADMIN_PASSWORD": "long enough"}) == 0
    assert "administrator chief" in capsys.readouterr().out
    assert cluster.execute(count, database) == [(1, 3)]
    assert main(["seed"], environ) == 0
    assert "nothing was changed" in capsys.readouterr().out
    assert cluster.execute(count, database) == [(1, 3)]
