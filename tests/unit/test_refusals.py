"""What resources refuse before anything is changed: a sentence with the owner and the remedy."""

import pytest

from fabfile.engine.change import Refused
from fabfile.engine.resources import Neighbours, Packages, Service, Unique, User
from fabfile.tiers.firewall.others import Rules

NOTHING = frozenset()


def test_a_package_that_is_held_back_and_missing_is_refused():
    assert Packages("a").plan("hi a\n", NOTHING) is None
    with pytest.raises(Refused, match="a must be installed, and is held back by 'apt-mark hold'"):
        Packages("a", "b").plan("hn a\nii b\n", NOTHING)


@pytest.mark.parametrize(
    "facts", ["grafana:x:900:5::/:/bin/sh\n", "crm:x:7:7::/srv:/bin/sh\ngrafana:x:900:\n"]
)
def test_a_number_of_somebody_else_is_refused(facts):
    with pytest.raises(Refused, match="is that of grafana; choose another"):
        User("crm", 900, "/srv", "; choose another").plan(facts, NOTHING)


def test_a_masked_unit_is_refused():
    with pytest.raises(Refused, match=r"'systemctl unmask a\.service' there"):
        Service("a.service").plan("ActiveState=inactive\nLoadState=masked\n", NOTHING)


def test_a_copy_of_a_machine_is_refused_and_one_without_is_not():
    number = Unique("its number", "cat number", "it is a copy")
    assert number.among("c", {"a": "8\n", "b": "", "c": "7\n"}, NOTHING) is None
    assert number.among("b", {"a": "", "b": ""}, NOTHING) is None
    both = {"a": "7\n", "b": "7\n"}
    assert number.among("a", both, NOTHING) is None
    with pytest.raises(Refused, match="its number, 7, is also that of a: it is a copy"):
        number.among("b", both, NOTHING)


def test_others_who_filter_are_told_and_what_they_must_let_in_where_they_close():
    neighbours = Neighbours("TCP 3000 from 10.1.3.1")
    assert neighbours.notes("") == ()
    assert neighbours.notes("fail2ban\n") == ("fail2ban found, and left as it is",)
    assert neighbours.notes("Docker\nufw\n") == (
        "Docker, ufw found, and left as it is; ufw must let in TCP 3000 from 10.1.3.1",
    )


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ("chain f2b-sshd\nchain DOCKER\n", "chains of Docker and fail2ban .f2b-sshd, DOCKER."),
        ("chain theirs\n", "chains of others .theirs."),
        ("rule -A INPUT -j DROP\n", "rules of others .-A INPUT -j DROP."),
    ],
)
def test_the_firewall_flushes_no_rules_of_others(facts, sentence):
    rules = Rules("load the firewall rules", "try", unless="status")
    assert rules.plan("done\n", NOTHING) is None
    assert rules.plan("\n", NOTHING).script.startswith("if")
    with pytest.raises(Refused, match=sentence):
        rules.plan(facts, NOTHING)
