"""When all storage servers are members of one pool, by glusterd's own files."""

import subprocess

import pytest

from fabfile.tiers.storage import state

MEMBER = "uuid=1\nstate=3\nhostname1={}\n"
UUID = "f11a0d8c-9fc9-4704-8c4b-a9b13474d32"
OTHERS = ["10.1.4.22", "10.1.4.23"]


@pytest.mark.parametrize(
    ("files", "joined"),
    [
        ((MEMBER.format("10.1.4.22"), MEMBER.format("10.1.4.23")), True),
        # Somebody has joined it by its name.
        ((MEMBER.format("10.1.4.22"), MEMBER.format("nas3") + "hostname2=10.1.4.23\n"), True),
        ((MEMBER.format("10.1.4.22"), MEMBER.format("10.1.4.23").replace("3", "4", 1)), False),
        ((MEMBER.format("10.1.4.22"), MEMBER.format("10.1.4.231")), False),
        ((MEMBER.format("10.1.4.22"), MEMBER.format("10.1.4.24")), False),
        ((MEMBER.format("10.1.4.22"),), False),
        ((), False),
    ],
)
def test_all_others_are_members_or_it_is_to_be_done(tmp_path, files, joined):
    for number, text in enumerate(files):
        (tmp_path / f"{UUID}{number}").write_text(text)
        # Being written when the directory was listed, and renamed before it was read.
        (tmp_path / f"{UUID}{number}.tmp").symlink_to("gone")
    condition = state._peers(OTHERS).replace("/var/lib/glusterd/peers", str(tmp_path))
    assert (
        subprocess.run(["sh", "-c", condition], stderr=-1, timeout=20).returncode == 0
    ) is joined
