"""Which machines are known to have been deployed to, once they are out of the scenario."""

from dataclasses import replace

from fabfile.scenario import deployed


def without(scenario, *names):
    machines = tuple(each for each in scenario.machines if each.name not in names)
    return replace(scenario, machines=machines)


def test_a_machine_that_left_is_known_with_its_tiers_and_login(scenario):
    deployed.note(scenario, ["s1", "s3"])
    assert deployed.gone(scenario) == []
    (gone,) = deployed.gone(without(scenario, "s3", "bbdd"))
    assert (gone.name, gone.tiers) == ("s3", ("app",))
    then, now = scenario.machine("s3").ssh, gone.login
    assert (now.host, now.user, now.port, now.key, now.known_hosts) == (
        (then.host, then.user, then.port, then.key, then.known_hosts)
    )


def test_who_is_forgotten_is_gone_for_good(scenario):
    deployed.note(scenario, ["s1", "s2", "s3"])
    deployed.forget(scenario, ["s2", "s3"])
    assert [each.name for each in deployed.gone(without(scenario, "s1", "s2", "s3"))] == ["s1"]


def test_a_file_that_nobody_can_read_knows_nothing(scenario):
    (scenario.state / deployed.FILE).write_text("[")
    assert deployed.gone(scenario) == []


def test_everywhere_are_the_machines_of_now_and_those_that_left(scenario):
    deployed.note(scenario, ["s1", "s3"])
    names = {each.name for each in deployed.everywhere(without(scenario, "s3"))}
    assert names == {each.name for each in scenario.inside}
