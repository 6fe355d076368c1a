"""Counting a count without reading it."""

from __future__ import annotations

import json
import random
from bisect import bisect_left, bisect_right, insort
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo_dispatcher.contract.entry import queue_sort_key
from hpo_dispatcher.scheduling.history.queue_counts import (
    BEFORE_ALL,
    MARKS,
    OVERFULL,
    PER_MARK,
    READ_AT_ONCE,
    QueueCount,
    QueueCounts,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def at(number: int, priority: int = 0) -> str:
    return queue_sort_key(priority, NOON + timedelta(seconds=number), f"r{number}")


def count_of(*sort_keys: str) -> QueueCount:
    count = QueueCount(complete=True)
    for sort_key in sort_keys:
        count.join(sort_key)
    return count


def test_who_joined_and_did_not_leave_is_in_line() -> None:
    count = count_of(*map(at, range(100)))
    for number in range(30):
        count.leave(at(number))
    assert len(count) == 70


def test_a_place_is_right_to_half_a_mark() -> None:
    count = count_of(*map(at, range(1000)))
    errors = [abs(count.before(at(number)) - number) for number in range(1000)]
    assert max(errors) <= PER_MARK // 2


def divided(count: QueueCount, queue: list[str]) -> int:
    """Divide the mark that counts too many, as a cycle does; return how many keys were read."""
    counts = QueueCounts({"fraud": count})
    overfull = counts.overfull()
    if overfull is None:
        return 0
    start = bisect_left(queue, overfull.first)
    read = queue[start : start + READ_AT_ONCE]
    count.divide(overfull.first, read)
    return len(read)


def farthest_off(count: QueueCount, queue: list[str]) -> int:
    return max((abs(count.before(key) - place) for place, key in enumerate(queue)), default=0)


def test_a_position_is_right_to_half_a_mark_in_whatever_order_requests_join() -> None:
    keys = [at(number) for number in range(500)]
    for seed in range(8):
        count, queue = QueueCount(complete=True), list[str]()
        for key in random.Random(seed).sample(keys, len(keys)):
            count.join(key)
            insort(queue, key)
            divided(count, queue)
        assert len(count) == 500
        assert farthest_off(count, queue) <= OVERFULL // 2, "without dividing it was up to 157"


def test_positions_do_not_drift_in_four_hundred_cycles_of_joins_and_starts_in_any_order() -> None:
    """Of each cycle's requests some have a priority, and some are released from a hold."""
    draw = random.Random(5)
    count, queue = QueueCount(complete=True), list[str]()
    for cycle in range(400):
        joined = [
            at(draw.choice((cycle, draw.randint(0, cycle))) * 100 + n, draw.choice((0, 0, 5)))
            for n in range(draw.randint(0, 9))
        ]
        for key in sorted(set(joined) - set(queue)):
            count.join(key)
            insort(queue, key)
        for _ in range(min(len(queue), draw.randint(0, 7))):
            place = draw.choice((0, draw.randrange(len(queue))))
            count.leave(queue.pop(place))
        count.correct(queue[:10], whole=len(queue) < 10)
        assert divided(count, queue) <= READ_AT_ONCE
        assert len(count) == len(queue)
        assert farthest_off(count, queue) <= OVERFULL // 2, f"in cycle {cycle}"
    assert len(queue) > 200


def test_an_exact_position_takes_one_read_of_a_bounded_size() -> None:
    keys = [at(number) for number in range(500)]
    count, queue = QueueCount(complete=True), list[str]()
    for key in random.Random(3).sample(keys, len(keys)):
        count.join(key)
        insort(queue, key)
        divided(count, queue)
    for place, key in enumerate(queue):
        part = count.part(key)
        read = bisect_right(queue, key) - bisect_left(queue, part.first)
        assert part.before + read == place + 1
        assert read <= OVERFULL + 1


def test_a_mark_that_counts_far_too_many_is_corrected_when_it_is_read_to_its_end() -> None:
    """A killed cycle has not counted out 60 requests; what a read may lack is not counted out."""
    count = QueueCount([(at(0), 100), (at(500), 20)], complete=True)
    assert divided(count, [*map(at, range(40)), *map(at, range(500, 520))]) == 60
    assert len(count) == 60
    lagging = QueueCount([(at(0), 42)], complete=True)
    assert divided(lagging, [*map(at, range(39))]) == 39
    assert len(lagging) == 42


def test_teams_with_short_queues_leave_their_marks_to_those_with_long_ones() -> None:
    counts = QueueCounts({f"t{n}": count_of(at(0)) for n in range(50)})
    for number in range(7_500):
        counts.of("long").join(at(number))
    counts.published()
    assert farthest_off(counts.of("long"), [*map(at, range(7_500))]) <= PER_MARK // 2


def test_no_mark_is_divided_if_there_are_as_many_as_there_may_be() -> None:
    count = QueueCount([(at(100 * number), 50) for number in range(MARKS)])
    assert divided(count, [at(number) for number in range(5000)]) == 0


def test_who_is_more_urgent_stands_before_all_others() -> None:
    count = count_of(*map(at, range(10)), *(at(number, priority=5) for number in range(50, 60)))
    assert count.before(at(70, priority=5)) <= 10
    assert count.before(at(70)) >= 15


def test_the_front_as_it_was_read_corrects_what_was_miscounted() -> None:
    count = count_of(*map(at, range(50)))  # of whom the first 20 are gone, unnoticed
    count.correct([at(number) for number in range(20, 30)], whole=False)
    assert len(count) == 30


def test_a_line_read_as_a_whole_is_exact() -> None:
    count = count_of(*map(at, range(50)))
    count.complete = False
    count.correct([at(7), at(9)], whole=True)
    assert (len(count), count.complete) == (2, True)
    count.correct([], whole=True)
    assert len(count) == 0


def test_a_line_that_was_there_before_it_was_counted_is_known_to_be_longer() -> None:
    count = QueueCount()
    count.correct([at(number) for number in range(10)], whole=False)
    assert (len(count), count.complete) == (10, False)


@pytest.mark.parametrize("whole", [True, False])
def test_whether_all_requests_were_counted_is_remembered(whole: bool) -> None:
    counts = QueueCounts()
    counts.of("fraud").correct([at(1)], whole=whole)
    assert QueueCounts.from_published(counts.published()).of("fraud").complete is whole


def test_however_long_the_lines_the_document_is_bounded() -> None:
    queue_counts = QueueCounts()
    for team in range(20):
        for number in range(5000):
            queue_counts.of(f"t{team}").join(at(number))
    published = queue_counts.published()
    assert len(json.dumps({team: each.marks for team, each in published.items()})) < 60 * MARKS
    again = QueueCounts.from_published(published)
    assert [len(count) for count in again.by_team.values()] == [5000] * 20
    assert abs(again.of("t3").before(at(2500)) - 2500) <= 50


@given(
    moves=st.lists(st.tuples(st.integers(0, 300), st.booleans()), max_size=200),
    reads=st.lists(st.integers(1, 40), max_size=5),
)
@settings(deadline=None)
def test_whatever_joins_and_leaves_the_number_is_right(
    moves: list[tuple[int, bool]], reads: list[int]
) -> None:
    count, truth = QueueCount(complete=True), set[str]()
    for number, joins in moves:
        sort_key = at(number)
        if joins and sort_key not in truth:
            truth.add(sort_key)
            count.join(sort_key)
        elif not joins and sort_key in truth:
            truth.discard(sort_key)
            count.leave(sort_key)
    for read in reads:
        heads = sorted(truth)[:read]
        count.correct(heads, whole=len(heads) < read)
    wrong = abs(len(count) - len(truth))
    assert wrong <= (PER_MARK if reads else 0)


def test_a_key_before_all_marks_is_in_the_part_before_them() -> None:
    count = QueueCount(marks=[("b", 2), ("d", 3)])
    assert (count.part("a").first, count.part("a").before) == (BEFORE_ALL, 0)
    assert (count.part("c").first, count.part("c").before) == ("b", 0)
    assert (count.part("d").first, count.part("d").before) == ("d", 2)


@pytest.mark.parametrize(("leaves", "left"), [("a", [2, 0]), ("c", [1, 0]), ("e", [2, 0])])
def test_who_was_not_counted_is_not_counted_out(leaves: str, left: list[int]) -> None:
    """It was before the first mark, or in a part that counts nobody."""
    count = QueueCount(marks=[("b", 2), ("d", 0)])
    count.leave(leaves)
    assert [each for _, each in count.marks] == left


def test_the_neighbors_that_count_the_fewest_together_are_merged_first() -> None:
    count = QueueCount(marks=[("a", 9), ("b", 1), ("c", 2), ("d", 3), ("e", 1)])
    count.shorten(4)
    assert count.marks == [("a", 9), ("b", 3), ("d", 3), ("e", 1)]
    count.shorten(2)
    assert count.marks == [("a", 9), ("b", 7)]
