"""What a person has on this computer changes no result of these tests."""

import shutil
import subprocess
import sys

from fabfile.scenario import ROOT

READ = (
    "fabfile",
    "templates",
    "crm",
    "applications",
    "docs",
    "tests/unit",
    "config.py",
    "setup.cfg",
)
# Whatever the person has exported.
ENVIRONMENT = {
    "CRM_APP": "crm-2017",
    "CRM_CONFIG": "nowhere/config.py",
    "CRM_2017_SOURCE": "nowhere",
    "NO_COLOR": "1",
    "LANG": "es_ES.UTF-8",
}
# One for each of them, and for .state.
TESTS = (
    "test_picture.py::test_the_picture_in_the_repository_is_what_config_py_draws_now",
    "test_pipeline.py::test_a_release_leaves_out_what_is_excluded",
    "test_benchmark.py",
    "test_scenario.py::test_all_mistakes_are_told_at_once",
)


def test_variables_and_state_of_the_person_are_not_read(tmp_path):
    for name in READ:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy(ROOT / name, tmp_path / name)
    state = tmp_path / ".state/pfinal"
    state.mkdir(parents=True)
    for name in ("inventory.json", "secrets.json"):
        (state / name).write_text("{spoiled")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *(f"tests/unit/{name}" for name in TESTS)],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
