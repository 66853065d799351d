"""What verify takes for a volume that keeps strangers out."""

import pytest

from fabfile.tiers.storage.checks import kept_out


@pytest.mark.parametrize(
    ("said", "guarded", "kept"),
    [
        (["EACCES", "EACCES", "EACCES"], False, True),
        (["EACCES", "timed out", "EACCES"], False, False),
        (["timed out", "timed out", "timed out"], True, True),
        (["EACCES", "timed out", "EACCES"], True, True),
        (["timed out", "accepted", "timed out"], True, False),
        (["timed out", "[Errno 111] Connection refused", "EACCES"], True, False),
    ],
)
def test_a_stranger_is_refused_by_the_volume_or_by_rules(said, guarded, kept):
    assert kept_out(said, guarded) is kept
