"""A scenario's file may import another, and reading it leaves nothing behind."""

import sys

import pytest

from fabfile.scenario import ScenarioError, load
from fabfile.scenario.files import entries_of
from fabfile.scenario.inventory import Inventory

CHANGES = """
import config

NAME = "other"
MACHINES = {**config.MACHINES, "s4": {**config.MACHINES["s3"], **_FOURTH}}
"""
FOURTH = '{"lan3": "10.1.3.14", "lan4": "10.1.4.14", "management": "10.250.0.14"}'


def write(path, text):
    path.write_text(text)
    return path


def test_a_file_that_changes_some_lines_of_config_py_is_a_scenario(tmp_path):
    text = f"from config import *\n_FOURTH = {FOURTH}\n{CHANGES}"
    scenario = load(write(tmp_path / "other.py", text), Inventory())
    assert scenario.name == "other"
    assert [each.name for each in scenario.tier("app")] == ["s1", "s2", "s3", "s4"]


def test_config_is_the_projects_also_for_a_file_of_that_name(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "config", sys)
    path = write(tmp_path / "config.py", "from config import *\nNAME = 'another'\n")
    assert load(path, Inventory()).name == "another"


def test_a_file_knows_where_it_is_and_may_have_data_beside_it(tmp_path):
    write(tmp_path / "name.txt", "from-a-file")
    text = "from pathlib import Path\nNAME = Path(__file__).with_name('name.txt').read_text()\n"
    assert entries_of(write(tmp_path / "a", text)) == {"NAME": "from-a-file"}


def test_files_beside_it_are_read_anew_each_time(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = write(tmp_path / "a.py", "from base import NAME\n")
    for name in ("one", "two"):  # of one length, within one second
        write(tmp_path / "base.py", f"NAME = {name!r}\n")
        assert entries_of(path)["NAME"] == name


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setitem(sys.modules, "base", sys)
    write(tmp_path / "only_here.py", "")
    modules, finders, paths = dict(sys.modules), list(sys.meta_path), list(sys.path)
    write(tmp_path / "base.py", "NAME = 'base'\n")
    assert entries_of(write(tmp_path / "a.py", "import only_here\nfrom base import NAME\n"))
    with pytest.raises(ZeroDivisionError):
        entries_of(write(tmp_path / "b.py", "import base\n1 / 0\n"))
    assert (dict(sys.modules), sys.meta_path, sys.path) == (modules, finders, paths)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.py",
        "b.py",
        "base.py",
        "only_here.py",
    ]


def test_a_file_named_as_a_module_of_python_does_not_take_its_place(tmp_path):
    write(tmp_path / "json.py", "1 / 0\n")
    assert entries_of(write(tmp_path / "a.py", "import json\nNAME = json.dumps('x')\n"))


def test_code_that_fails_is_a_sentence_with_its_line(tmp_path):
    path = write(tmp_path / "a.py", "NAME = 'x'\nimport json\nDATA = json.loads('{')\n")
    with pytest.raises(ScenarioError, match=r"cannot be run: JSONDecodeError: .*\(line 3 of a.py"):
        load(path)
