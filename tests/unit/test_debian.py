"""What is known of the systems that machines run."""

import pytest

from fabfile.scenario.debian import UnknownSystem, debian, untried


def test_ubuntu_is_let_in_and_named():
    assert debian("ubuntu 24.04").postgresql == "16"
    systems = {"lb": "debian 13", "s1": "ubuntu 24.04", "s2": "ubuntu 24.04", "new": ""}
    assert untried(systems) == ["s1, s2: Ubuntu 24.04 is let in, and nobody has tried this on it"]


@pytest.mark.parametrize("system", ["", "debian 11", "fedora 41"])
def test_another_system_is_one_sentence(system):
    with pytest.raises(UnknownSystem, match=r"and Debian 12 .* and 13 .* are supported"):
        debian(system)
