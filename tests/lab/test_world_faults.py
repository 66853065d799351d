"""What the world does to machines: slow and lossy networks, no names, wrong clocks, full disks.

Each is got over, or said in one sentence with the remedy, within a limit.
"""

import time
from contextlib import contextmanager

import pytest

from fabfile.verify import _site, clocks
from tests.lab import places
from tests.lab.commands import as_root, wait_for
from tests.lab.packages import borrowed
from tests.lab.relay import relay

# In seconds, until a machine that does not answer has its sentence.
SILENCE = 15
UNPACKED = "ed"
BROKEN = """
mkdir -p /run/broken/DEBIAN
printf 'Package: broken-thing\\nVersion: 1\\nArchitecture: all\\nMaintainer: n <n@example.org>\\n' \
    >/run/broken/DEBIAN/control
printf 'Description: nothing\\n' >>/run/broken/DEBIAN/control
printf '#!/bin/sh\\necho it cannot be; exit 3\\n' >/run/broken/DEBIAN/postinst
chmod 755 /run/broken/DEBIAN/postinst
dpkg-deb -b /run/broken /run/broken.deb >/dev/null
dpkg --unpack /run/broken.deb
"""
# apt-get of a machine whose clock is wrong: what checks signatures for it, too.
CLOCK = """
cat >/usr/local/sbin/apt-get <<'SH'
#!/bin/sh
export LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1 FAKETIME=-30d
export DONT_FAKE_MONOTONIC=1
exec /usr/bin/apt-get -o APT::Sandbox::User=root "$@"
SH
printf '#!/bin/sh\nexec /usr/bin/date -d "30 days ago" "$@"\n' >/usr/local/sbin/date
chmod 755 /usr/local/sbin/apt-get /usr/local/sbin/date
mv /var/lib/apt/lists /var/lib/apt/lists-before
mkdir -p /var/lib/apt/lists/partial
"""


@pytest.fixture
def work(repaired, tmp_path):
    """Give a scenario whose app servers must have one more package, which they lose behind it."""
    entries = repaired.entries
    entries["APPLICATION"]["packages"].append(UNPACKED)
    yield places.write(entries, tmp_path / "config.py")
    for name in repaired.apps:
        repaired.do(name, f"apt-get -qq purge -y {UNPACKED} >/dev/null 2>&1")


def sentence(done, name):
    """Return the one that is said of a machine, and of no other."""
    said = [line for line in done.text.splitlines() if line.startswith(f"{name}: ")]
    assert len(said) == 1 and "Traceback" not in done.text, done.text
    return said[0]


def inside(lab, name, *words):
    """Run a program on a machine, also where nobody can log in."""
    place = lab.scenario.lab.directory / "machines"
    return as_root("lxc-attach", "-P", place, "-n", name, "--", *words).out


def test_names_that_do_not_resolve_are_said_in_time_and_the_others_go_on(repaired, work):
    # A name server that never answers. The file is the lab's own.
    nobody = "cp /etc/resolv.conf /run/resolv.conf; echo nameserver 192.0.2.1 >/etc/resolv.conf"
    # What apt has kept of the package needs no names.
    repaired.do("s2", f"{nobody}; rm -f /var/cache/apt/archives/{UNPACKED}_*.deb")
    try:
        begin = time.monotonic()
        done = repaired.fab("app.deploy", config=work, code=1, limit=120)
        print(f"\nno names: {time.monotonic() - begin:.1f} s")
    finally:
        repaired.do("s2", "cat /run/resolv.conf >/etc/resolv.conf; rm /run/resolv.conf")
    said = sentence(done, "s2")
    assert f"'install {UNPACKED}' failed" in said and "cannot find the address of " in said
    assert "repair its name servers, /etc/resolv.conf there" in said, said
    assert repaired.host("s1").package(UNPACKED).is_installed


def test_what_dpkg_has_by_half_is_finished_or_named(repaired, work):
    fetch = f"cd /run && apt-get -qq download {UNPACKED} 2>/dev/null && dpkg --unpack ed_*.deb"
    repaired.do("s3", fetch)
    repaired.do("s2", BROKEN)
    status = f"dpkg-query -W -f '${{db:Status-Abbrev}}' {UNPACKED}"
    assert repaired.do("s3", status) == "iU "
    try:
        done = repaired.fab("app.deploy", config=work, code=1, limit=120)
        said = sentence(done, "s2")
        assert "dpkg cannot finish broken-thing, by the fault that is shown" in said, done.text
        assert "'dpkg --configure -a' there ends well" in said and "it cannot be" in done.text
        assert repaired.do("s3", status) == "ii "
        # The remedy is one.
        repaired.do("s2", "echo >/var/lib/dpkg/info/broken-thing.postinst; dpkg --configure -a")
        repaired.fab("app.deploy", config=work, limit=120)
        assert repaired.do("s2", status) == "ii "
    finally:
        repaired.do("s2", "dpkg --purge --force-all broken-thing; rm -r /run/broken*")
        repaired.do("s3", "rm /run/ed_*.deb")


def test_a_clock_that_is_behind_is_said(repaired, work):
    # The clock is this computer's: apt and date are shown another one.
    with borrowed(repaired, "s2", "libfaketime"):
        repaired.do("s2", CLOCK)
        try:
            done = repaired.fab("app.deploy", config=work, code=1, limit=120)
            with _site(repaired.scenario) as site:
                (check,) = clocks.checks(site)
        finally:
            repaired.do(
                "s2",
                "rm -r /usr/local/sbin/apt-get /usr/local/sbin/date /var/lib/apt/lists\n"
                "cd /var/lib/apt; mv lists-before lists",
            )
        said = sentence(done, "s2")
        assert f"'install {UNPACKED}' failed" in said and "its clock is behind" in said, done.text
        assert "set it, as by 'timedatectl set-ntp true' there" in said
        assert not check.ok and check.seen.startswith("s2 is 720 h 0 min behind"), check


@contextmanager
def small_disk(lab, name, path):
    """Have a disk of 8 MB, of memory, in the place of a directory, with what that holds."""
    lab.do(
        name,
        "mkdir /run/small; mount -t tmpfs -o size=8m small /run/small\n"
        f"cp -a {path}/. /run/small/; mount --bind /run/small {path}",
    )
    try:
        yield
    finally:
        lab.do(name, f"umount {path} /run/small; rmdir /run/small")


def test_a_full_disk_is_said_and_got_over(repaired):
    own = "/var/lib/crm-deployer"
    with small_disk(repaired, "s2", own):
        # Nothing kept of an earlier change: what that frees would be room enough.
        repaired.do("s2", f"rm -rf {own}/previous /etc/crm-deployer/crm.env")
        repaired.do("s2", f"cat /dev/zero >{own}/filler || :")
        done = repaired.fab("app.deploy", code=1)
        said = sentence(done, "s2")
        assert "a disk there is full: 'df -h' and 'df -i' there show which; make room" in said
        repaired.do("s2", f"rm {own}/filler")
        repaired.fab("app.deploy")
        repaired.assert_nothing_to_do()


@pytest.mark.parametrize("words", [["deploy"], ["plan"], ["app.restart"]])
def test_a_machine_that_lets_us_in_and_says_nothing_is_one_sentence(repaired, words):
    pid = inside(repaired, "s3", "systemctl", "show", "-P", "MainPID", "ssh").strip()
    inside(repaired, "s3", "kill", "-STOP", pid)
    try:
        begin = time.monotonic()
        done = repaired.invoke(*words, code=1)
        took = time.monotonic() - begin
    finally:
        inside(repaired, "s3", "kill", "-CONT", pid)
        # sshd_config(5), PerSourcePenalties: who has not logged in is kept out for a while.
        wait_for("s3 to let us in", lambda: repaired.fab("app.plan", code=None).code == 0, 90)
    said = sentence(done, "s3")
    print(f"\n{words[0]}: {took:.1f} s")
    assert "lets us in, but no SSH server speaks there; does the machine hang?" in said
    assert "'invoke maintenance --server s3 on' has it left out" in said
    assert done.text.endswith("Nothing was changed.\n")
    assert took <= SILENCE


def break_by_hand(lab):
    """Have something to do on s2 that takes packets in both directions."""
    lab.do("s2", "rm -f /etc/crm-deployer/crm.env; rm -rf /usr/local/lib/crm-deployer")


@contextmanager
def loss(lab, name, every):
    """Lose each so many-th packet of SSH with a machine, in both directions."""
    (pid,) = as_root(
        "lxc-info", "-P", lab.scenario.lab.directory / "machines", "-n", name, "-p", "-H"
    ).out.split()
    drop = f"-m statistic --mode nth --every {every} --packet 0 -j DROP"
    rules = [f"INPUT -p tcp --dport 22 {drop}", f"OUTPUT -p tcp --sport 22 {drop}"]

    def iptables(*words):
        return as_root("nsenter", "-t", pid, "-n", "iptables", *words).out

    for rule in rules:
        iptables("-I", *rule.split())
    try:
        yield lambda: [
            int(line.split()[0]) for line in iptables("-nvxL").splitlines() if "statistic" in line
        ]
    finally:
        for rule in rules:
            iptables("-D", *rule.split())


def test_a_deployment_gets_over_every_fifth_packet_that_is_lost(repaired):
    break_by_hand(repaired)
    with loss(repaired, "s2", every=5) as lost:
        begin = time.monotonic()
        done = repaired.fab("app.deploy", limit=120)
        print(f"\nevery fifth packet lost: {time.monotonic() - begin:.1f} s, {lost()} packets")
        # The test has seen its subject.
        assert all(number >= 3 for number in lost())
    assert "\ns2 " in done.out
    repaired.assert_nothing_to_do()


def test_a_deployment_gets_over_a_way_of_600_ms(repaired, tmp_path):
    address = repaired.address("s2", "management")
    with relay(address, 22, delay=0.3) as port:
        entries = repaired.entries
        entries["MACHINES"]["s2"]["ssh"] = f"deploy@127.0.0.1:{port}"
        known = (places.STATE / "known_hosts").read_text()
        own = next(line for line in known.splitlines() if line.startswith(f"{address} "))
        known_hosts = tmp_path / "known_hosts"
        known_hosts.write_text(f"{known}[127.0.0.1]:{port} {own.split(' ', 1)[1]}\n")
        entries["LOGIN"]["known_hosts"] = str(known_hosts)
        config = places.write(entries, tmp_path / "config.py")
        break_by_hand(repaired)
        begin = time.monotonic()
        repaired.fab("app.deploy", config=config, limit=120)
        between = time.monotonic()
        assert "0 changes" in repaired.fab("app.deploy", config=config).out
        print(
            f"\n600 ms there and back: {between - begin:.1f} s, then "
            f"{time.monotonic() - between:.1f} s for nothing"
        )
    repaired.await_answer()
    repaired.assert_nothing_to_do()
