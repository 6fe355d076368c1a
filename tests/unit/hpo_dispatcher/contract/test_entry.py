"""The order of a team's queue, by priority and by waiting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hpo_dispatcher.contract.entry import Entry, Status, queue_sort_key
from hpo_dispatcher.contract.ledger.entry_item import entry_item, head_from

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = 60


def key(priority: int, minutes_ago: int, aging_minutes: int, request_id: str = "r") -> str:
    accepted_at = NOON - timedelta(minutes=minutes_ago)
    return queue_sort_key(priority, accepted_at, request_id, aging_minutes)


def test_without_aging_a_higher_priority_comes_first_however_long_the_other_has_waited() -> None:
    assert key(1, 0, 0) < key(0, 10_000, 0) < key(0, 9_999, 0) < key(-1, 10_000, 0)


def test_with_aging_a_level_of_priority_counts_as_so_many_minutes_of_waiting() -> None:
    assert key(5, 0, HOUR) < key(0, 5 * HOUR - 1, HOUR)
    assert key(0, 5 * HOUR + 1, HOUR) < key(5, 0, HOUR)
    assert key(0, 0, HOUR) < key(-2, 2 * HOUR - 1, HOUR)


waiting = st.tuples(st.integers(-1000, 1000), st.integers(0, 30 * 24 * HOUR))


@given(waiting, waiting, st.integers(1, 10_080))
def test_the_order_is_that_of_priority_and_the_minutes_waited(
    one: tuple[int, int], other: tuple[int, int], aging: int
) -> None:
    """Slurm's priority/multifactor adds an age factor to the priority in the same way."""
    points = [priority * aging + waited for priority, waited in (one, other)]
    if points[0] != points[1]:
        assert (key(*one, aging) < key(*other, aging)) == (points[0] > points[1])


def test_the_ledger_keeps_what_the_order_depends_on() -> None:
    entry = Entry(
        team="fraud", request_id="r", status=Status.QUEUED, accepted_at=NOON, request_json="{}",
        priority=3, priority_aging_minutes=HOUR,
    )  # fmt: skip
    item = entry_item(entry, NOON)
    assert head_from(item) == entry
    assert item["line_position"] == key(3, 0, HOUR)


def test_a_request_without_aging_is_stored_as_before() -> None:
    entry = Entry(
        team="fraud", request_id="r", status=Status.QUEUED, accepted_at=NOON, request_json="{}"
    )
    assert "priority_aging_minutes" not in entry_item(entry, NOON)
