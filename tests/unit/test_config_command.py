"""`python3 config.py` with what it cannot use: a sentence, and nothing is done."""

import shutil
import subprocess
import sys

from fabfile.scenario import ROOT


def config_py(*words, directory=ROOT):
    done = subprocess.run(
        [sys.executable, directory / "config.py", *words],
        capture_output=True,
        text=True,
        timeout=20,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_file_that_is_not_there():
    code, out, err = config_py("nowhere.xml")
    assert (code, out) == (1, "")
    assert err.startswith("nowhere.xml cannot be read")


def test_a_word_that_it_does_not_know():
    code, out, err = config_py("--bear")
    assert (code, out) == (2, "")
    assert err.startswith("usage: python3 config.py [--bare] [scenario file of VNX ...]")


def test_config_py_without_the_project(tmp_path):
    shutil.copy(ROOT / "config.py", tmp_path)
    code, out, err = config_py("pfinal.xml", directory=tmp_path)
    assert (code, out) == (1, "")
    assert "config.py does nothing without the project around it" in err
    assert "Traceback" not in err
