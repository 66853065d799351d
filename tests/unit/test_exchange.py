"""`scenario.import` and `scenario.export`: what is written, and what is left as it is."""

from pathlib import Path

import pytest
from invoke.exceptions import Exit

from fabfile.operations import exchange
from fabfile.scenario import load
from fabfile.scenario.inventory import Inventory

SAMPLES = Path(__file__).resolve().parents[1] / "vnx"


@pytest.fixture
def practice(tmp_path):
    """Return practice.xml in a directory of its own."""
    path = tmp_path / "practice.xml"
    path.write_text((SAMPLES / "practice.xml").read_text())
    return path


def test_the_config_file_lies_beside_the_first_one(practice, capsys):
    exchange.import_vnx(f"{practice}, {SAMPLES / 'more.xml'}", "", False)
    said = capsys.readouterr().out
    assert "  - s1: not run: touch /was-run;\n" in said
    assert f"{practice.with_suffix('.py')} is written: 10 machines" in said
    assert len(load(practice.with_suffix(".py"), Inventory()).tier("app")) == 2


def test_a_file_that_says_something_else_is_replaced_only_when_asked(practice, capsys):
    target = practice.with_suffix(".py")
    exchange.import_vnx(str(practice), "", False)
    exchange.import_vnx(str(practice), "", False)
    assert f"{target} is as it was: 9 machines" in capsys.readouterr().out
    written = target.read_text()
    target.write_text("# mine")
    with pytest.raises(Exit, match=r"says something else: scenario\.import --overwrite replaces"):
        exchange.import_vnx(str(practice), "", False)
    assert target.read_text() == "# mine"
    exchange.import_vnx(str(practice), "", True)
    assert target.read_text() == written


def test_what_makes_no_scenario_is_not_written(practice):
    with pytest.raises(Exit) as caught:
        exchange.import_vnx(str(SAMPLES / "more.xml"), str(practice.with_name("a.py")), False)
    assert "do not make a scenario that can be deployed" in str(caught.value)
    assert "the tier 'database'" in str(caught.value)
    assert [path.name for path in practice.parent.iterdir()] == ["practice.xml"]


def test_export_writes_what_import_reads(practice, monkeypatch, capsys):
    exchange.import_vnx(str(practice), "", False)
    before = practice.with_suffix(".py").read_text()
    monkeypatch.setenv("CRM_CONFIG", str(practice.with_suffix(".py")))
    exchange.export_vnx(str(practice.with_name("again.xml")), False)
    exchange.import_vnx(str(practice.with_name("again.xml")), "", False)
    after = practice.with_name("again.py").read_text()
    # All but the comment that says what was read.
    assert after.partition("\nNAME")[2] == before.partition("\nNAME")[2]
