"""The steps in the database, with a program that stands in for psql and one for runuser."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from fabfile.tiers.app import migration

# Notes what it is told, runs what psql's \! would, and knows what was recorded.
PSQL = """#!/bin/sh
while IFS= read -r line; do
  echo "psql $line" >>"$notes"
  case $line in
  '\\! '*) sh -c "${line#'\\! '}" ;;
  *FROM\\ deployer.done*) ! grep -q "^psql INSERT.*'migrate" "$notes" || echo found ;;
  esac
done
"""
RUNUSER = """#!/bin/sh
echo "the application has${PGCONNECT_TIMEOUT+ options of psql}${payload+ a payload}" >>"$notes"
shift 3
exec "$@"
"""


@pytest.fixture
def steps(scenario, tmp_path, monkeypatch):
    """Give a function that runs the migration with a command, and answers code, words and notes."""
    for name, text in (("psql", PSQL), ("runuser", RUNUSER)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(migration.cluster, "program", lambda name, _debian: str(tmp_path / name))
    monkeypatch.setattr(migration.app, "directory", lambda scenario: str(tmp_path))
    notes, payload = tmp_path / "notes", tmp_path / "payload"
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "notes": str(notes)}

    def run(command: str) -> tuple[int, str, list[str]]:
        application = replace(scenario.application, migrate=command)
        wanted = replace(scenario, application=application)
        change = migration.migrated(wanted, wanted.machine("s1"))[0].plan("", frozenset())
        payload.mkdir(exist_ok=True)
        write(payload, change.files)
        script = f"set -e; payload={payload}\n{change.script}"
        done = subprocess.run(["sh"], input=script, text=True, env=environment, capture_output=True)
        return done.returncode, done.stdout + done.stderr, notes.read_text().splitlines()

    return run


def write(payload: Path, files: dict) -> None:
    for name, content in files.items():
        (payload / name).write_bytes(content)


def test_a_step_is_done_and_noted_under_the_lock_and_only_once(steps):
    code, said, notes = steps("echo migrating; echo 'my own' >&2")
    assert (code, said) == (0, "migrating\nmy own\n")
    (begin,) = (at for at, line in enumerate(notes) if "pg_advisory_lock(2017)" in line)
    assert notes[begin + 1].startswith("psql \\!")
    assert "the application has" in notes[begin + 2 :]
    assert any("INSERT INTO deployer.done" in line for line in notes[begin + 2 :])
    code, said, notes = steps("echo again")
    assert (code, said) == (0, "")


def test_the_exit_code_of_the_command_is_that_of_the_step(steps):
    code, said, notes = steps("echo broken; exit 7")
    assert (code, said) == (7, "broken\n")
    # When it began was noted, for the way back, and not that it was done.
    (noted,) = (line for line in notes if "INSERT" in line)
    assert "('before migrate " in noted


def test_before_a_migration_the_way_back_is_said(scenario, tmp_path, monkeypatch):
    answers = tmp_path / "psql"
    answers.write_text("#!/bin/sh\necho '2026-11-26 18:55:00+00'\n")
    answers.chmod(0o755)
    monkeypatch.setattr(migration.cluster, "program", lambda name, _debian: str(answers))
    script = f'set -e; say() {{ echo "said: $*"; }}\n{migration._way_back(scenario)}'
    done = subprocess.run(["sh"], input=script, text=True, capture_output=True)
    assert done.stdout == (
        'said: the way back: invoke backup.restore --to "2026-11-26 18:55:00+00"\n'
    ), done.stderr
    # Where nothing was migrated yet, it fails; and where nobody listens, nothing is said.
    answers.write_text("#!/bin/sh\nexit 1\n")
    assert subprocess.run(["sh"], input=script.encode(), capture_output=True).stdout == b""
    without = tuple(each for each in scenario.machines if "storage" not in each.tiers)
    assert migration._way_back(replace(scenario, machines=without)) == ""
