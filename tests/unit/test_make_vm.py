"""bin/make-vm says what is wrong with what it was asked, before it does anything."""

import subprocess
from xml.etree import ElementTree

import pytest

from fabfile.scenario import ROOT


def make_vm(*argv, directory):
    return subprocess.run(
        [ROOT / "bin/make-vm", *argv], cwd=directory, capture_output=True, text=True
    )


@pytest.mark.parametrize("argv", [("crm.iso",), ("a.ova", "b.ova"), ("--help",)])
def test_what_is_no_disk_is_answered_with_the_usage(tmp_path, argv):
    done = make_vm(*argv, directory=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "usage: bin/make-vm [FILE.qcow2 | FILE.ova]\n"


def test_a_disk_that_is_there_stays(tmp_path):
    disk = tmp_path / "crm.qcow2"
    disk.write_text("somebody's")
    done = make_vm(directory=tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"{disk} is there already: remove it, or name another file.\n"
    assert disk.read_text() == "somebody's"


def test_a_directory_that_is_not_there_is_a_sentence(tmp_path):
    done = make_vm("none/crm.ova", directory=tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path}/none is no directory that you may write to.\n"


def test_the_description_names_its_disk_and_network():
    top = ElementTree.parse(ROOT / "vm/crm.ovf").getroot()
    ovf = "{http://schemas.dmtf.org/ovf/envelope/1}"
    files = {file.get(f"{ovf}id"): file.get(f"{ovf}href") for file in top.iter(f"{ovf}File")}
    disks = {disk.get(f"{ovf}diskId"): disk.get(f"{ovf}fileRef") for disk in top.iter(f"{ovf}Disk")}
    networks = {network.get(f"{ovf}name") for network in top.iter(f"{ovf}Network")}
    said = {element.tag.rpartition("}")[2]: element.text for element in top.iter()}
    assert files[disks[said["HostResource"].removeprefix("ovf:/disk/")]] == "crm.vmdk"
    assert said["Connection"] in networks
