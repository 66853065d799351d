"""The lab's machines are in a namespace of AppArmor of their own, where there is AppArmor."""

from fabfile.lab import apparmor, render
from fabfile.scenario import load


def test_machines_start_in_a_namespace_that_down_removes(tmp_path):
    lab = load().lab
    (tmp_path / "somebodys").mkdir()
    for _ in range(2):  # a machine, and the next
        assert apparmor.profile(lab, tmp_path) == ":lxc-crm-lab:unconfined"
    assert {each.name for each in tmp_path.iterdir()} == {"lxc-crm-lab", "somebodys"}
    for _ in range(2):  # also when it is gone
        apparmor.down(lab, tmp_path)
        assert [each.name for each in tmp_path.iterdir()] == ["somebodys"]


def test_a_computer_without_apparmor_gets_no_namespace(tmp_path):
    lab, namespaces = load().lab, tmp_path / "none"
    assert apparmor.profile(lab, namespaces) == "unconfined"
    apparmor.down(lab, namespaces)
    assert not namespaces.exists()


def test_lxc_starts_a_machine_under_that_profile(tmp_path):
    scenario = load()
    text = render.lxc_config(
        scenario, scenario.machine("fw"), tmp_path, [tmp_path], tmp_path, ":lxc-a:unconfined"
    )
    assert "lxc.apparmor.profile = :lxc-a:unconfined\n" in text
