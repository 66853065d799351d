"""Which times can be had of the database, and how: pure logic over what the backups have."""

import json
from datetime import datetime

import pytest

from fabfile.operations.restoring import way_to
from fabfile.tiers.storage import past
from fabfile.tiers.storage.past import Kept, Past, Run, Timeline
from fabfile.tiers.storage.programs import archive

INF = float("inf")


def kept(name, stop, first, timeline=1):
    """Return a backup of ten seconds, which needs two pieces of the log."""
    return Kept(name, "full", stop - 10, stop, 100, timeline, first, first + 1)


FIRST, SECOND = kept("first", 100, 1), kept("second", 200, 11)


def found(*runs, backups=(FIRST, SECOND), timelines=()):
    return Past(backups, timelines, tuple(Run(*each) for each in runs))


def test_any_second_can_be_had_of_a_log_in_which_nothing_is_missing():
    assert found((1, 1, 30, 400)).spans() == [(101, INF)]
    assert found((1, 1, 30, 400)).told(str) == "any second since 101"


def test_a_gap_in_the_log_lasts_until_there_is_a_new_backup():
    there = found((1, 1, 5, 130), (1, 8, 30, 400))
    assert there.spans() == [(101, 130), (201, INF)]
    assert there.told(str) == "any second from 101 to 130, and from 201 on"


def test_a_gap_behind_the_last_backup_has_no_end():
    there = found((1, 1, 12, 230), (1, 15, 30, 400))
    assert there.spans() == [(101, 230)]
    assert there.told(str) == "any second from 101 to 230"


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (99, "99.0 is before the first backup, of 101"),
        (101, ""),
        (130, ""),
        (131, "any second up to 130, and from 201 on."),
        (200, "any second up to 130, and from 201 on."),
        (201, ""),
        (901, "901.0 is in the future"),
    ],
)
def test_a_time_that_cannot_be_had_is_refused_with_the_nearest_that_can(moment, said):
    there = found((1, 1, 5, 130), (1, 8, 30, 400))
    wrong = there.impossible(datetime.fromtimestamp(moment), 900, str)
    assert said in wrong and bool(said) == bool(wrong)


def test_without_a_backup_no_time_can_be_had():
    assert "no backup" in Past(()).impossible(None, 900, str) and Past(()).told(str) == "no time"


# At 300, it was brought back to what it was in the piece 5, and that is on the timeline 2.
BACK = Timeline(2, 300, ((1, 5),))
RUNS = ((1, 1, 20, 299), (2, 5, 9, 500))


def test_no_way_leads_from_a_backup_to_a_timeline_that_was_left_before_it():
    # The restore was killed before it made a backup of its own.
    there = found(*RUNS, timelines=(BACK,))
    assert there.backup(299).label == "second" and there.timeline(299).number == 1
    assert there.backup(400).label == "first" and there.timeline(400).number == 2
    assert there.backup(None).label == "first" and there.timeline(None).number == 2
    assert there.spans() == [(101, INF)]
    way = way_to(there, datetime.fromtimestamp(400))
    assert {"--set=first", "--target-timeline=2", "--type=time"} <= {*way.options}
    assert way_to(there, None).options == ["--set=first", "--type=default"]


def test_a_backup_that_was_made_on_the_new_timeline_is_taken():
    third = kept("third", 350, 8, 2)
    there = found(*RUNS, backups=(FIRST, SECOND, third), timelines=(BACK,))
    assert there.backup(None) == there.backup(360) == third
    assert there.backup(340) == FIRST


def test_a_timeline_of_a_timeline_goes_by_both():
    again = Timeline(3, 600, ((1, 5), (2, 7)))
    there = found(*RUNS, (3, 7, 8, 700), timelines=(BACK, again))
    assert [again.on(number) for number in (4, 5, 6, 7)] == [1, 2, 2, 3]
    assert there.backup(650) == FIRST and there.spans() == [(101, INF)]
    # What comes behind the point where it was left is not missed.
    torn = found(
        (1, 1, 20, 299), (2, 5, 6, 500), (2, 8, 9, 510), (3, 7, 8, 700), timelines=(BACK, again)
    )
    assert torn.spans() == [(101, 500), (600, INF)]


def test_the_log_that_is_to_be_replayed_is_measured():
    there = found((1, 1, 30, 400))
    assert there.log_behind(SECOND, there.timeline(None)) == 20 * past.PIECE
    assert way_to(there, datetime.fromtimestamp(150)).room == 105 + 30 * past.PIECE


def test_a_machine_tells_what_its_repository_has(tmp_path):
    top = tmp_path / "archive/main"
    for name in ("15-1", "15-2/0000000100000000", "15-2/0000000200000000"):
        (top / name).mkdir(parents=True)
    names = ["01" + "-" + "a" * 40, "02-" + "b" * 40 + ".zst", "04-c", "04.partial-d", "0x-e"]
    for name in names:
        (top / "15-2/0000000100000000" / f"0000000100000000000000{name}").touch()
    (top / "15-2/0000000200000000/0000000200000001000000FF-a.zst").touch()
    (top / "15-2/00000002.history").touch()
    (tmp_path / "history").write_text("1\t0/4000028\tno recovery target specified\n\n")
    (tmp_path / "info").write_text(
        json.dumps(
            [
                {
                    "db": [{"id": 1, "system-id": 7}],
                    "backup": [
                        {
                            "label": "one",
                            "type": "full",
                            "timestamp": {"start": 90, "stop": 100},
                            "info": {"size": 100},
                            "database": {"id": 1},
                            "archive": {
                                "start": "000000010000000000000001",
                                "stop": "000000010000000000000002",
                            },
                        }
                    ],
                }
            ]
        )
    )
    command = ["sh", "-c", f'cd {tmp_path}; [ "$1" = info ] && cat info || cat history', "sh"]
    answer = archive.main({"command": command, "repository": str(tmp_path), "stanza": "main"})
    there = past.read(answer)
    assert there.backups == (Kept("one", "full", 90, 100, 100, 1, 1, 2),) and there.system == "7"
    assert [(each.number, each.before) for each in there.timelines] == [(2, ((1, 4),))]
    assert [(each.timeline, each.first, each.last) for each in there.runs] == [
        (1, 1, 2),
        (1, 4, 4),
        (2, 511, 511),
    ]
