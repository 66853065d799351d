"""Deploy changes nothing that is right; a hand edit is shown by plan, and repaired alone."""

import pytest

from tests.lab import places

# Where, the edit by hand, what plan says of it, what deploy does because of it.
EDITS = {
    "a line of a configuration file": (
        "lb",
        "sed -i 's/balance roundrobin/balance leastconn/' /etc/haproxy/haproxy.cfg",
        ["change /etc/haproxy/haproxy.cfg", "reload haproxy.service", "HAProxy sees"],
    ),
    "a stopped service": ("s2", "systemctl stop crm", ["start crm.service"]),
    "a disabled service": ("nas2", "systemctl -q disable glusterd", ["enable glusterd.service"]),
    "a rule of the firewall": ("fw", "iptables -I FORWARD -j ACCEPT", ["firewall rules"]),
    "a role's rights": (
        "bbdd",
        "cd / && runuser -u postgres -- psql -qc 'ALTER ROLE crm SUPERUSER'",
        ["role crm"],
    ),
    "a file's rights": (
        "s3",
        "chmod 0644 /etc/crm-deployer/crm.env",
        ["rights of /etc/crm-deployer/crm.env", "restart crm.service"],
    ),
    "an option of the volume": (
        "nas1",
        "gluster --mode=script volume set nas network.ping-timeout 42",
        ["set network.ping-timeout"],
    ),
}


def wanted(edits):
    return {(where, words) for where, _, changes in edits for words in changes}


def matches(planned, edits):
    """Tell whether the planned changes are those of the edits, and no others."""
    expected = wanted(edits)
    found = {
        next(
            ((where, words) for where, words in expected if where == machine and words in action),
            (machine, action),
        )
        for machine, action in planned
    }
    return found == expected and len(planned) == len(expected)


def test_a_second_deploy_changes_nothing_and_says_so(lab):
    processes = "systemctl show -P MainPID crm.service"
    before = [lab.do(name, processes) for name in lab.apps]
    done = lab.fab("deploy")
    assert "0 changes: 9 machines are as they should be" in done.out
    assert [lab.do(name, processes) for name in lab.apps] == before


def test_plan_ends_with_0_when_there_is_nothing_to_do(lab):
    done = lab.fab("plan", code=0)
    assert "0 changes" in done.out


@pytest.mark.parametrize("tier", ["database", "storage", "app", "balancer", "firewall"])
def test_a_tier_alone_has_nothing_to_do_either(lab, tier):
    assert "0 changes" in lab.fab(f"{tier}.deploy").out
    assert "0 changes" in lab.invoke(f"{tier}.plan").out


def test_edits_by_hand_are_shown_and_mended_and_nothing_else_is(repaired):
    for where, script, _ in EDITS.values():
        repaired.do(where, script)
    plan = repaired.fab("plan", code=2)
    planned = repaired.planned()
    assert matches(planned, EDITS.values()), planned
    assert f"{len(planned)} changes would be made" in plan.text
    for line in (
        "--- /etc/haproxy/haproxy.cfg (now)",
        "+++ /etc/haproxy/haproxy.cfg (desired)",
        "-    balance leastconn",
        "+    balance roundrobin",
    ):
        assert f"    {line}\n" in plan.out, plan.out
    # To look is not to touch: the plan is the same the next time.
    assert repaired.planned() == planned
    done = repaired.fab("deploy", limit=120)
    assert f"{len(planned)} changes on 7 machines" in done.out
    repaired.assert_nothing_to_do()
    repaired.await_answer()


def test_the_plan_of_one_tier_leaves_out_the_others(repaired):
    where, script, _ = EDITS["a rule of the firewall"]
    repaired.do(where, script)
    assert "0 changes" in repaired.fab("balancer.plan").out
    assert "0 changes" in repaired.fab("balancer.deploy").out
    assert repaired.fab("firewall.plan", code=2).out
    repaired.fab("firewall.deploy")
    repaired.assert_nothing_to_do()


def test_a_configuration_that_its_program_refuses_replaces_nothing(repaired, tmp_path):
    entries = repaired.entries
    # An address that lb does not have is no fault to haproxy -c, a health path with a quote is.
    entries["APPLICATION"]["health"] = "/health' verr"
    config = places.write(entries, tmp_path / "config.py")
    before = repaired.do(
        "lb", "sha256sum /etc/haproxy/haproxy.cfg; systemctl show -P MainPID haproxy"
    )
    done = repaired.fab("balancer.deploy", code=1, config=config)
    assert "lb" in done.text
    assert "haproxy.cfg" in done.text
    after = repaired.do(
        "lb", "sha256sum /etc/haproxy/haproxy.cfg; systemctl show -P MainPID haproxy"
    )
    assert after == before
    assert repaired.do("lb", "find /etc/haproxy -name '*.new'") == ""
    # The mark for a reload that did not come about costs one reload with the right configuration.
    assert {action.split()[0] for _, action in repaired.planned()} <= {"reload", "wait"}
    repaired.fab("deploy")
