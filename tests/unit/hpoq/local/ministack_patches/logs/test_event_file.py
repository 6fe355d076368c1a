"""The events of a log stream in a file."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from hpoq.local.ministack_patches.logs.event_file import BLOCK, MARK, EventFile, sizes_only


def events(count: int, first: int = 0) -> list[dict[str, object]]:
    return [
        {"timestamp": 1000 + number, "message": f'line {number} "é"\n', "ingestionTime": 2000}
        for number in range(first, first + count)
    ]


def seen(file: EventFile) -> list[dict[str, object]]:
    return [
        {key: event[key] for key in ("timestamp", "message", "ingestionTime")} for event in file
    ]


def snapshot(file: EventFile) -> dict[str, object]:
    """Return what a snapshot of the state holds of a file, after JSON."""
    stored: dict[str, object] = json.loads(json.dumps(copy.deepcopy({"events": file})))["events"]
    return stored


def test_events_are_read_in_any_order(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    count = 2 * BLOCK + 3
    for first in range(0, count, 100):
        file.extend(events(min(100, count - first), first))

    assert len(file) == count
    assert seen(file) == events(count)
    assert [file[number]["timestamp"] for number in (0, BLOCK, -1)] == [1000, 1000 + BLOCK, 1514]
    assert [event["timestamp"] for event in file[BLOCK - 1 : BLOCK + 1]] == [1255, 1256]
    assert file.last == 1514


def test_the_last_block_grows_with_appended_events(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.extend(events(2))
    assert len(list(file)) == 2
    file.extend(events(2, 2))
    assert seen(file) == events(4)


def test_a_file_is_read_again_and_its_events_keep_their_ids(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.extend(events(BLOCK + 1))
    again = EventFile(tmp_path, snapshot(file))

    assert [event["eventId"] for event in again] == [event["eventId"] for event in file]
    again.extend(events(1, BLOCK + 1))
    assert seen(again) == events(BLOCK + 2)


def test_a_line_that_a_killed_cloud_did_not_complete_is_dropped(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.extend(events(3))
    path = tmp_path / file.name
    path.write_bytes(path.read_bytes()[:-5])

    again = EventFile(tmp_path, snapshot(file))
    assert seen(again) == events(2)
    again.extend(events(1, 2))
    assert seen(EventFile(tmp_path, snapshot(again))) == events(3)


def test_a_snapshot_holds_no_events(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.extend(events(100_000))
    assert len(json.dumps(snapshot(file))) < 200


def test_a_start_reads_only_what_was_appended_after_the_snapshot(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.extend(events(1000))
    stored = snapshot(file)
    file.extend(events(5, 1000))  # and the cloud is killed
    path = tmp_path / file.name
    content = path.read_bytes()
    path.write_bytes(b"?" * 20 + content[20:])  # a scan would stumble over it

    again = EventFile(tmp_path, stored)
    assert (len(again), again.first, again.last) == (1005, 1000, 2004)
    with sizes_only():
        (sized,) = again
        assert len(sized["message"]) >= sum(len(str(each["message"])) for each in events(1005))
    path.write_bytes(content)
    assert seen(again) == events(1005)


def test_a_file_that_is_shorter_than_in_the_snapshot_is_read_from_the_beginning(
    tmp_path: Path,
) -> None:
    file = EventFile(tmp_path)
    file.extend(events(3))
    stored = snapshot(file)
    path = tmp_path / file.name
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    assert seen(EventFile(tmp_path, stored)) == events(1)


def test_the_snapshot_of_the_version_before_has_the_name_only(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.extend(events(BLOCK + 2))
    again = EventFile(tmp_path, {MARK: file.name})
    assert seen(again) == events(BLOCK + 2)
    assert snapshot(again)["count"] == BLOCK + 2


def test_appended_events_follow_those_of_a_snapshot(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.extend(events(BLOCK + 2))
    again = EventFile(tmp_path, snapshot(file))
    again.extend(events(BLOCK, BLOCK + 2))
    assert seen(again) == events(2 * BLOCK + 2)
    assert again[-1]["timestamp"] == 1000 + 2 * BLOCK + 1


def test_sizes_are_known_without_reading_the_file(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.extend([{"timestamp": 1, "message": "abc", "ingestionTime": 1}] * 1000)
    (tmp_path / file.name).unlink()
    with sizes_only():
        assert sum(len(event["message"]) for event in file) == 3000
