"""What to do about failures that programs tell in words of their own: a sentence for each."""

from __future__ import annotations

import re

# What programs say, and what helps; the first that is found counts, since one thing that fails
# makes others fail. apt's words are those of its C.UTF-8, which all scripts run in.
_KNOWN: tuple[tuple[str, str], ...] = (
    (
        r"No space left on device|don't have enough free space in (?P<place>/\S*[^\s.])",
        "a disk there is full: 'df -h' and 'df -i' there show which; make room, and run it again",
    ),
    (
        r"dpkg: error processing (?:package |archive )?(?P<name>\S+)",
        "dpkg cannot finish {name}, by the fault that is shown: repair that, see that "
        "'dpkg --configure -a' there ends well, and run it again",
    ),
    (
        r"is not valid yet \(invalid for another (?P<time>[^)]+)\)|Not live until|time warp",
        "its clock is behind{by}: set it, as by 'timedatectl set-ntp true' there, and run it again",
    ),
    (
        r"Release file for (?P<url>\S+) is expired \(invalid since (?P<time>[^)]+)\)",
        "its clock is ahead, or {url} is not kept up to date any more: set the clock, as by "
        "'timedatectl set-ntp true' there, or name another source of packages, and run it again",
    ),
    (
        r"(?:Temporary failure resolving|Could not resolve(?: host:)?) '?(?P<host>[\w.-]+\w)",
        "it cannot find the address of {host}: repair its name servers, /etc/resolv.conf there, "
        "and run it again",
    ),
    (
        r"(?:Could not|Unable to|Cannot initiate the) connect(?:ion)? to (?P<host>[\w.-]+):",
        "it does not reach {host}: repair its way out, or name a proxy in /etc/apt/apt.conf.d "
        "there, and run it again",
    ),
)


def remedy(said: str) -> str:
    """Return what to do, by what a program has said, as a sentence; "" where nothing is known."""
    for pattern, sentence in _KNOWN:
        if found := re.search(pattern, said):
            words = {name: text for name, text in found.groupdict().items() if text}
            by = f", by {words['time']} at least" if "time" in words else ""
            return sentence.format(**words, by=by)
    return ""
