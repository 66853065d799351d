"""What deploy says of failures that programs tell in words of their own."""

import pytest

from fabfile.engine.remedies import remedy
from fabfile.engine.script import Failure

# What apt-get 3.0 and others have said of each, and what the sentence begins with and ends in.
SAID = {
    "E: Failed to fetch http://deb.example/debian/dists/trixie/InRelease  Temporary failure "
    "resolving 'deb.example'\nE: Some index files failed to download. They have been ignored, "
    "or old ones used instead.\nE: Unable to locate package ed": (
        "it cannot find the address of deb.example: repair its name servers, /etc/resolv.conf"
    ),
    "fatal: unable to access 'https://git.example/a/': Could not resolve host: git.example": (
        "it cannot find the address of git.example"
    ),
    "W: OpenPGP signature verification failed: http://deb.example/debian trixie InRelease: "
    "Sub-process /usr/bin/sqv returned an error code (1), error message is: Verifying signature: "
    "           Not live until 2026-11-21T08:46:20Z\nE: The repository "
    "'http://deb.example/debian trixie InRelease' is not signed.": (
        "its clock is behind: set it, as by 'timedatectl set-ntp true'"
    ),
    "E: Release file for http://deb.example/debian/dists/trixie-updates/InRelease is not valid "
    "yet (invalid for another 23h 41min 9s). Updates for this repository will not be applied.": (
        "its clock is behind, by 23h 41min 9s at least: set it"
    ),
    "E: Release file for http://deb.example/debian/dists/trixie-updates/InRelease is expired "
    "(invalid since 24d 18h 53min 58s). Updates for this repository will not be applied.": (
        "its clock is ahead, or http://deb.example/debian/dists/trixie-updates/InRelease is not "
        "kept up to date any more"
    ),
    "tar: payload: Wrote only 512 of 10240 bytes\ntar: a: Cannot write: No space left on device": (
        "a disk there is full"
    ),
    "E: You don't have enough free space in /var/cache/apt/archives/.": "a disk there is full",
    # What fails for want of space is not the package's fault.
    "dpkg: error processing archive /var/cache/apt/archives/ed_1.deb (--unpack):\n cannot copy "
    "extracted data: failed to write (No space left on device)": "a disk there is full",
    "dpkg: error processing package ed (--configure):\n installed ed package post-installation "
    "script subprocess returned error exit status 1": "dpkg cannot finish ed, by the fault that",
    "E: Failed to fetch http://deb.example/debian/dists/trixie/InRelease  Could not connect to "
    "deb.example:80 (192.0.2.1), connection timed out": "it does not reach deb.example: ",
    "E: Unable to connect to deb.example:http:": "it does not reach deb.example: ",
}


@pytest.mark.parametrize("said", SAID)
def test_a_sentence_says_what_to_do(said):
    assert remedy(said).startswith(SAID[said]) and remedy(said).endswith(", and run it again")


def test_what_is_not_known_has_none():
    assert remedy("E: Unable to locate package ed") == ""
    assert (
        str(Failure("install ed", 100, ["no"])) == "'install ed' failed with exit code 100\n    no"
    )


def test_it_stands_in_the_first_line_also_where_its_reason_is_not_among_the_last():
    lines = ["Temporary failure resolving 'deb.example'", *map(str, range(20))]
    first, *rest = str(Failure("install ed", 100, lines)).splitlines()
    assert first.startswith(
        "'install ed' failed with exit code 100: it cannot find the address of deb.example: "
    )
    assert rest == [f"    {number}" for number in range(5, 20)]
