"""Counting a count without reading it."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from hpo_dispatcher.contract.entry import queue_sort_key
from hpo_dispatcher.scheduling.history.queue_counts import MARKS, PER_MARK, QueueCount, QueueCounts

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


def test_a_position_stays_near_the_real_one_if_requests_join_in_any_order() -> None:
    keys = [at(number) for number in range(500)]
    for seed in range(8):
        count = count_of(*random.Random(seed).sample(keys, len(keys)))
        errors = [abs(count.before(key) - number) for number, key in enumerate(keys)]
        assert len(count) == 500
        assert max(errors) <= 80, "without marks in the middle, it was up to 157"


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
