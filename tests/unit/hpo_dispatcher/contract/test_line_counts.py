"""Counting a line without reading it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from hpo_dispatcher.contract.entry import line_position
from hpo_dispatcher.contract.line_counts import MARKS, PER_MARK, Census, Line

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def at(number: int, priority: int = 0) -> str:
    return line_position(priority, NOON + timedelta(seconds=number), f"r{number}")


def line_of(*positions: str) -> Line:
    line = Line(complete=True)
    for position in positions:
        line.join(position)
    return line


def test_who_joined_and_did_not_leave_is_in_line() -> None:
    line = line_of(*map(at, range(100)))
    for number in range(30):
        line.leave(at(number))
    assert len(line) == 70


def test_a_place_is_right_to_half_a_mark() -> None:
    line = line_of(*map(at, range(1000)))
    errors = [abs(line.before(at(number)) - number) for number in range(1000)]
    assert max(errors) <= PER_MARK // 2


def test_who_is_more_urgent_stands_before_all_others() -> None:
    line = line_of(*map(at, range(10)), *(at(number, priority=5) for number in range(50, 60)))
    assert line.before(at(70, priority=5)) <= 10
    assert line.before(at(70)) >= 15


def test_the_front_as_it_was_read_corrects_what_was_miscounted() -> None:
    line = line_of(*map(at, range(50)))  # of whom the first 20 are gone, unnoticed
    line.seen([at(number) for number in range(20, 30)], whole=False)
    assert len(line) == 30


def test_a_line_read_as_a_whole_is_exact() -> None:
    line = line_of(*map(at, range(50)))
    line.complete = False
    line.seen([at(7), at(9)], whole=True)
    assert (len(line), line.complete) == (2, True)
    line.seen([], whole=True)
    assert len(line) == 0


def test_a_line_that_was_there_before_it_was_counted_is_known_to_be_longer() -> None:
    line = Line()
    line.seen([at(number) for number in range(10)], whole=False)
    assert (len(line), line.complete) == (10, False)


def test_however_long_the_lines_the_document_is_bounded() -> None:
    census = Census()
    for team in range(20):
        for number in range(5000):
            census.of(f"t{team}").join(at(number))
    document = json.dumps(census.as_document())
    assert len(document) < 60 * MARKS
    again = Census.from_document(json.loads(document))
    assert [len(line) for line in again.lines.values()] == [5000] * 20
    assert abs(again.of("t3").before(at(2500)) - 2500) <= 50


@given(
    moves=st.lists(st.tuples(st.integers(0, 300), st.booleans()), max_size=200),
    reads=st.lists(st.integers(1, 40), max_size=5),
)
@settings(deadline=None)
def test_whatever_joins_and_leaves_the_number_is_right(
    moves: list[tuple[int, bool]], reads: list[int]
) -> None:
    line, truth = Line(complete=True), set[str]()
    for number, joins in moves:
        position = at(number)
        if joins and position not in truth:
            truth.add(position)
            line.join(position)
        elif not joins and position in truth:
            truth.discard(position)
            line.leave(position)
    for count in reads:
        front = sorted(truth)[:count]
        line.seen(front, whole=len(front) < count)
    wrong = abs(len(line) - len(truth))
    assert wrong <= (PER_MARK if reads else 0)
