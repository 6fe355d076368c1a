"""The limits of a cycle: its deadline, and its rate of API calls."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from hpo_dispatcher.cycle.pacing import THREADS, Deadline, TokenBucket, map_concurrently


@pytest.mark.parametrize(
    ("remaining", "share", "passed"),
    [
        (100.0, 1.0, False),
        (5.1, 1.0, False),
        (5.0, 1.0, False),  # the margin is left
        (4.9, 1.0, True),
        (40.1, 0.6, False),
        (40.0, 0.6, False),  # six tenths of the time are used up
        (39.9, 0.6, True),
        (5.0, 0.99, False),  # a hundredth is less than the margin
        (4.9, 0.99, True),
    ],
)
def test_a_deadline_is_a_share_of_the_time_and_leaves_a_margin(
    remaining: float, share: float, passed: bool
) -> None:
    deadline = Deadline(remaining=lambda: remaining, total=100.0)
    assert deadline.passed(share) is passed


def test_a_deadline_is_what_is_left_of_an_invocation() -> None:
    """Lambda: "get_remaining_time_in_millis: the number of milliseconds left"."""
    left = iter([60_000, 12_500])

    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return next(left)

    context: Any = Context()
    deadline = Deadline.of(context)
    assert deadline.total == 60.0
    assert deadline.remaining() == 12.5


class Waits:
    """A clock that advances by what is slept."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


def bucket(clock: Waits, rate: float = 2.0, burst: float = 3.0) -> TokenBucket:
    return TokenBucket(rate=rate, burst=burst, clock=lambda: clock.now, sleep=clock.sleep)


def test_a_burst_is_free_and_later_calls_wait_for_the_rate() -> None:
    clock = Waits()
    limit = bucket(clock)
    for _ in range(5):
        limit.take()
    assert clock.slept == [0.5, 0.5]


def test_tokens_return_with_time_up_to_the_burst() -> None:
    clock = Waits()
    limit = bucket(clock)
    for _ in range(3):
        limit.take()
    clock.now += 0.5  # one token
    limit.take()
    assert clock.slept == []
    clock.now += 1000
    for _ in range(4):
        limit.take()
    assert clock.slept == [0.5], "no more than the burst has been saved"


def test_callers_that_arrive_together_wait_one_after_the_other() -> None:
    slept: list[float] = []
    limit = TokenBucket(rate=4.0, burst=1.0, clock=lambda: 0.0, sleep=slept.append)
    for _ in range(4):
        limit.take()
    assert slept == [0.25, 0.5, 0.75]


def test_as_many_calls_run_at_once_as_there_are_threads_and_results_are_in_order() -> None:
    together = threading.Barrier(THREADS)
    at_once: set[int] = set()
    peaks: list[int] = []

    def call(value: int) -> int:
        at_once.add(value)
        together.wait(5)  # until all threads are in a call
        peaks.append(len(at_once))
        together.wait(5)
        at_once.remove(value)
        return value * 10

    values = range(2 * THREADS)
    assert map_concurrently(call, values) == [value * 10 for value in values]
    assert max(peaks) == THREADS


def test_results_are_in_the_order_of_the_values_however_long_the_calls_take() -> None:
    first_may_end = threading.Event()

    def call(value: int) -> int:
        if value == 0:
            assert first_may_end.wait(5)
        elif value == 2:
            first_may_end.set()
        return value * 10

    assert map_concurrently(call, range(3)) == [0, 10, 20]


def test_a_single_call_needs_no_thread() -> None:
    assert map_concurrently(lambda _: threading.current_thread(), "a") == [
        threading.current_thread()
    ]
    assert map_concurrently(str, "") == []


def test_two_calls_run_at_once() -> None:
    together = threading.Barrier(2)
    assert sorted(map_concurrently(lambda _: together.wait(5), "ab")) == [0, 1]
