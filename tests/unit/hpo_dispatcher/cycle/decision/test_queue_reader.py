"""How far the queues are read: a bounded number of rows, and whatever could start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.cycle.decision.queue_heads import MOST_HEADS, MOST_MORE_HEADS, QueueReader
from tests.support.scheduling_scene import G5, M5, ago


def entry(team: str, number: int, **fields: Any) -> Entry:
    return Entry(
        team=team, request_id=f"r{number:05}", status=Status.QUEUED,
        accepted_at=ago(100_000 - number), **fields,
    )  # fmt: skip


class Queues:
    """A ledger with the queues of teams, which records how many rows each read asked for."""

    def __init__(self, **lengths: int) -> None:
        self.lengths = lengths
        self.asked: list[tuple[str, int]] = []

    def heads(self, team: str, count: int) -> Sequence[Entry]:
        self.asked.append((team, count))
        return [entry(team, number) for number in range(min(count, self.lengths[team]))]

    def queued_from(self, team: str, sort_key: str, count: int) -> Sequence[Entry]:
        last = int(sort_key.strip().rsplit("#r", 1)[1])
        first = last + 1 if sort_key.endswith(" ") else last
        return [
            entry(team, number, instances={M5: 1} if number % 3_000 else {G5: 1})
            for number in range(first, min(first + count, self.lengths[team]))
        ]


def reader(
    queues: Queues, accepted: Sequence[Entry] = (), left_out: Any = (), **fields: Any
) -> QueueReader:
    requests: Any = queues
    return QueueReader(requests=requests, accepted=accepted, left_out=left_out, **fields)


def test_a_queue_that_hides_nothing_is_read_once() -> None:
    queues = Queues(a=500)
    found = reader(queues).read({"a": 10}, lambda team, queue: False)
    assert queues.asked == [("a", 10)]
    assert len(found.by_team["a"]) == 10
    assert found.whole == frozenset()


def test_a_queue_that_hides_requests_is_read_four_times_as_far_until_it_ends() -> None:
    queues = Queues(a=500)
    found = reader(queues).read({"a": 10}, lambda team, queue: True)
    assert queues.asked == [("a", count) for count in (10, 40, 160, 640)]
    assert len(found.by_team["a"]) == 500
    assert found.whole == {"a"}


def test_reading_stops_as_soon_as_nothing_is_hidden_any_more() -> None:
    queues = Queues(a=500)
    reader(queues).read({"a": 10}, lambda team, queue: len(queue) < 40)
    assert queues.asked == [("a", 10), ("a", 40)]


def test_a_queue_of_exactly_as_many_requests_may_be_longer() -> None:
    queues = Queues(a=10, b=9)
    found = reader(queues).read({"a": 10, "b": 10}, lambda team, queue: False)
    assert found.whole == {"b"}


def test_one_queue_is_read_to_its_bound_and_all_queues_to_theirs() -> None:
    """However many requests wait: 40 teams with thousands of requests each."""
    teams = {f"t{number:02}": 50_000 for number in range(40)}
    queues = Queues(**teams)
    found = reader(queues).read(dict.fromkeys(teams, 10), lambda team, queue: True)
    lengths = [len(queue) for queue in found.by_team.values()]
    deep = MOST_MORE_HEADS // (MOST_HEADS - 10)
    assert lengths[:deep] == [MOST_HEADS] * deep
    assert sum(lengths) == 40 * 10 + MOST_MORE_HEADS
    assert min(lengths) == 10, "the first heads of every queue are read"


def test_a_longer_queue_is_read_on_page_by_page_and_then_from_its_first_page_again() -> None:
    queues, read_up_to, seen = Queues(a=7_000), dict[str, str](), []
    for _ in range(4):
        found = reader(queues, read_up_to=read_up_to).read({"a": 1}, lambda team, queue: True)
        assert len(found.by_team["a"]) == MOST_HEADS
        seen.append([each.request_id for each in found.farther["a"]])
        read_up_to = dict(found.read_up_to)
    assert seen == [["r02000", "r03000"], ["r04000"], ["r06000", "r06001"], ["r02000", "r03000"]]


def test_what_this_cycle_accepted_is_in_the_queue_once_though_the_index_lags_behind() -> None:
    queues = Queues(a=3)
    urgent, known = entry("a", 90_000, priority=5), entry("a", 1)
    others = entry("b", 0)
    found = reader(queues, [urgent, known, others]).read({"a": 10}, lambda team, queue: False)
    ids = [each.request_id for each in found.by_team["a"]]
    assert ids == ["r90000", "r00000", "r00001", "r00002"]


def test_accepted_requests_behind_the_heads_are_not_read() -> None:
    found = reader(Queues(a=50), [entry("a", 99)]).read({"a": 5}, lambda team, queue: False)
    assert [each.request_id for each in found.by_team["a"]] == [f"r{n:05}" for n in range(5)]


def test_requests_that_cannot_be_read_make_room_for_those_behind_them() -> None:
    queues = Queues(a=50)
    left_out = {("a", "r00000"), ("a", "r00002")}
    found = reader(queues, left_out=left_out).read({"a": 3}, lambda team, queue: False)
    assert queues.asked == [("a", 5)]
    assert [each.request_id for each in found.by_team["a"]] == ["r00001", "r00003", "r00004"]


@pytest.mark.parametrize("length", [20, 2_000, 20_000])
def test_a_full_account_reads_as_much_of_a_long_queue_as_of_a_short_one(length: int) -> None:
    queues = Queues(a=length)
    reader(queues).read({"a": 10}, lambda team, queue: False)
    assert queues.asked == [("a", 10)]
