"""When what SageMaker refused is tried again, and what survives from one cycle to the next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hpo_dispatcher.contract.aws_limits import QuotaExceeded
from hpo_dispatcher.contract.documents.capacity import WaitKind
from hpo_dispatcher.scheduling.backoff import Backoff, Delay, ReachedLimit, Refusals
from hpo_dispatcher.scheduling.history.memory import backoff_from, memory_json, unannounced_from
from hpo_dispatcher.scheduling.snapshot import RunningJob

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = ("fraud", "a")
P3 = "ml.p3.8xlarge"
QUOTA = QuotaExceeded(name=f"{P3} for training job usage", limit=4, in_use=3, requested=2)


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


def refused(kind: WaitKind, times: int) -> list[int]:
    """Return the waits in minutes, if a request is refused each time that it is tried."""
    backoff, now, waits = Backoff(), NOW, []
    for _ in range(times):
        backoff = backoff.after(Refusals(requests={KEY: kind}), [], [], now)
        delay = backoff.requests[KEY]
        assert delay.since == NOW
        waits.append(int((delay.retry_at - now) / minutes(1)))
        now = delay.retry_at
    return waits


@pytest.mark.parametrize(
    ("kind", "waits"),
    [
        (WaitKind.ACCOUNT_FAULT, [10, 20, 40, 80, 120, 120]),
        (WaitKind.ACCOUNT_QUOTA, [10, 20, 30, 30]),
        (WaitKind.TUNING_JOB_NAME, [10, 20, 30, 30]),
    ],
)
def test_each_wait_is_twice_as_long_up_to_a_bound(kind: WaitKind, waits: list[int]) -> None:
    assert refused(kind, len(waits)) == waits


def test_no_number_of_tries_overflows() -> None:
    assert refused(WaitKind.ACCOUNT_FAULT, 2_000)[-1] == 120


def test_another_kind_of_refusal_starts_anew() -> None:
    backoff = Backoff().after(Refusals(requests={KEY: WaitKind.ACCOUNT_FAULT}), [], [], NOW)
    later = NOW + timedelta(hours=30)
    assert backoff.gives_up(KEY, WaitKind.ACCOUNT_FAULT, later)
    assert not backoff.gives_up(KEY, WaitKind.ACCOUNT_QUOTA, later)
    backoff = backoff.after(Refusals(requests={KEY: WaitKind.ACCOUNT_QUOTA}), [], [], later)
    assert backoff.requests[KEY].since == later


def job(name: str, count: int) -> RunningJob:
    return RunningJob(tuning_job_name=name, team=None, instances={P3: count})


@pytest.mark.parametrize(
    ("jobs", "held"),
    [
        ([job("x", 2), job("y", 1)], True),
        ([job("x", 2)], False),  # y has ended
        ([job("x", 2), job("z", 1)], False),  # y has ended, and another one started
        ([job("x", 1), job("y", 1)], False),  # x needs fewer instances for the rest of its work
        ([job("x", 2), job("y", 1), job("z", 5)], True),
    ],
)
def test_a_limit_holds_until_something_that_uses_it_is_free(
    jobs: list[RunningJob], held: bool
) -> None:
    running = [job("x", 2), job("y", 1)]
    backoff = Backoff().after(Refusals(quotas={P3: QUOTA}), [], running, NOW)
    assert bool(backoff.seen_with(jobs).limits) == held


def test_the_memory_keeps_all_of_it() -> None:
    backoff = Backoff(
        requests={
            KEY: Delay(kind=WaitKind.ACCOUNT_FAULT, since=NOW, tries=3, retry_at=NOW + minutes(40))
        },
        limits={
            P3: ReachedLimit(
                quota=QUOTA, tries=2, retry_at=NOW + minutes(20), users=frozenset("xy"), counted=3
            )
        },
    )
    memory = memory_json({}, backoff, {KEY})
    assert backoff_from(memory) == backoff
    assert unannounced_from(memory) == {KEY}


def test_a_memory_of_the_version_before_has_none_of_it() -> None:
    for memory in (None, '{"reservation_timers": []}'):
        assert backoff_from(memory) == Backoff()
        assert unannounced_from(memory) == frozenset()
