"""Rough machines: plain Debian with all the harmless oddities that people's machines have.

Pure functions of the scenario. Which machine gets which of LOCALES and SHELLS follows from its
place in config.py; all else is on every one.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from fabfile.lab import render
from fabfile.lab.planning import lab_machines
from fabfile.scenario import Machine, Scenario

PACKAGES = ("cron", "fish", "locales", "needrestart", "unattended-upgrades")
# The second is not generated: see layer.sh.
LOCALES = ("es_ES.UTF-8", "de_DE.UTF-8")
# Login shells of the user that Fabric logs in as; a package of theirs belongs to PACKAGES.
SHELLS = ("/bin/bash", "/bin/dash", "/usr/bin/fish")
# Every how many machines one updates itself when it boots, which keeps apt for a while.
UPDATES_EVERY = 4

FISH = ".config/fish/config.fish"
# In words that all of them know.
NOISE = """\
echo "Welcome back! It is $(date)."
echo "3 updates can be applied immediately." >&2
umask 077
cd /tmp
"""
MOTD = "**** This system is monitored. ****\n" * 3
SSHD = "Banner /etc/issue.net\nPrintMotd yes\n"
UMASK = "session optional pam_umask.so umask=0077\n"
FSTAB = "tmpfs /tmp tmpfs rw,nosuid,nodev,noexec 0 0\n"
CRON = "* * * * * root logger theirs\n"
UPDATES = "@reboot root apt-get -qq update && unattended-upgrade\n"
UPGRADES = """\
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
"""
NEEDRESTART = "$nrconf{restart} = 'a';\n"


def files(scenario: Scenario, machine: Machine, read: Callable[[str], str]) -> dict[str, str]:
    """Return the files of a rough machine, by path; `read` answers those of its image."""
    place = lab_machines(scenario).index(machine)
    user = render.user(machine)
    home = render.home(machine)
    shell = SHELLS[place % len(SHELLS)]
    own = re.compile(rf"^({user}:.*):[^:]*$", re.M)
    return {
        "/etc/cron.d/theirs": CRON + (UPDATES if place % UPDATES_EVERY == 1 else ""),
        "/etc/apt/apt.conf.d/20auto-upgrades": UPGRADES,
        # Debian 13 makes the second a link to the first at each boot.
        "/etc/locale.conf": f"LANG={LOCALES[place % len(LOCALES)]}\n",
        "/etc/default/locale": f"LANG={LOCALES[place % len(LOCALES)]}\n",
        "/etc/fstab": FSTAB,
        "/etc/issue.net": MOTD,
        "/etc/motd": MOTD,
        "/etc/needrestart/conf.d/theirs.conf": NEEDRESTART,
        "/etc/pam.d/sshd": read("/etc/pam.d/sshd") + UMASK,
        "/etc/passwd": own.sub(rf"\1:{shell}", read("/etc/passwd")),
        "/etc/ssh/sshd_config.d/20-theirs.conf": SSHD,
        **{f"{home}/{name}": NOISE for name in (".bashrc", ".profile", FISH)},
    }


def hosts(text: str, machine: Machine) -> str:
    """Return /etc/hosts without the machine's own name, which then does not resolve."""
    return "".join(
        line for line in text.splitlines(keepends=True) if machine.name not in line.split()[1:]
    )
