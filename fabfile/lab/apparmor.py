"""Keeps the AppArmor profiles of this computer off the machines' programs.

A profile such as unix-chkpwd's is for the program of that path, in containers, too. Where that lies
on an overlay, AppArmor refuses its libraries, even to a profile that only complains: nobody could
log in. In a namespace of its own, a machine has no profiles (apparmor_namespaces(7)).
"""

from __future__ import annotations

from pathlib import Path

from fabfile.scenario import Lab

# There where the kernel has AppArmor switched on.
NAMESPACES = Path("/sys/kernel/security/apparmor/policy/namespaces")


def profile(lab: Lab, namespaces: Path = NAMESPACES) -> str:
    """Return the profile that the lab's machines start under; makes their namespace if needed."""
    if not namespaces.is_dir():
        return "unconfined"
    _namespace(lab, namespaces).mkdir(exist_ok=True)
    return f":{_namespace(lab, namespaces).name}:unconfined"


def down(lab: Lab, namespaces: Path = NAMESPACES) -> None:
    """Remove the namespace, which no machine may be in any more."""
    if _namespace(lab, namespaces).is_dir():
        _namespace(lab, namespaces).rmdir()


def _namespace(lab: Lab, namespaces: Path) -> Path:
    # Debian's profile for lxc-start lets it change to namespaces of such names only.
    return namespaces / f"lxc-{lab.bridge_prefix}lab"
