"""When what SageMaker refused is tried again, and what survives from one cycle to the next."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice

import pytest

from hpo_dispatcher.contract.aws_limits import QuotaExceeded
from hpo_dispatcher.contract.documents.capacity import WaitKind
from hpo_dispatcher.scheduling.backoff import GIVE_UP_AFTER, Backoff, Delay, ReachedLimit, Refusals
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


FAULT, QUOTA_REACHED, NAME = (
    WaitKind.ACCOUNT_FAULT, WaitKind.ACCOUNT_QUOTA, WaitKind.TUNING_JOB_NAME
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "later", "count"),
    [
        (WaitKind.ACCOUNT_FAULT, 0, 1),
        (WaitKind.ACCOUNT_FAULT, 9, 1),
        (WaitKind.ACCOUNT_FAULT, 10, 0),  # it may be tried again: it waits for something else
        (WaitKind.ACCOUNT_QUOTA, 0, 0),
        (WaitKind.TUNING_JOB_NAME, 0, 0),
    ],
)
def test_only_waits_for_a_fault_of_the_account_count_as_such(
    kind: WaitKind, later: int, count: int
) -> None:
    backoff = Backoff().after(Refusals(requests={KEY: kind}), [], [], NOW)
    assert backoff.account_faults(NOW + minutes(later)) == count


def refusals_until_the_end(kinds: Iterable[WaitKind]) -> tuple[Counter[WaitKind], timedelta]:
    """Return how often a request was refused before it ended, and after how long."""
    backoff, now, tried = Backoff(), NOW, Counter[WaitKind]()
    for kind in kinds:
        tried[kind] += 1
        if backoff.gives_up(KEY, kind, now):
            break
        backoff = backoff.after(Refusals(requests={KEY: kind}), [], [], now)
        # As the next cycle reads it.
        backoff = backoff_from(memory_json({}, backoff))
        now = backoff.requests[KEY].retry_at
    return tried, now - NOW


# Faults of the account end a request after a day of the waits above, 10 + 20 + 40 + 80 + 11 x 120
# minutes. A name that is not clear ends it after an hour: 10 + 20 + 30 minutes, or fewer refusals
# if others come in between.
@pytest.mark.parametrize(
    ("kinds", "ended_by", "refused_before"),
    [
        ([FAULT], FAULT, 15),
        ([FAULT, QUOTA_REACHED], FAULT, 15),
        ([QUOTA_REACHED, FAULT], FAULT, 15),
        ([FAULT, QUOTA_REACHED, QUOTA_REACHED, FAULT, QUOTA_REACHED], FAULT, 15),
        ([NAME], NAME, 3),
        ([NAME, QUOTA_REACHED], NAME, 2),
        ([NAME, FAULT, QUOTA_REACHED], NAME, 2),
    ],
)
def test_refusals_of_other_kinds_do_not_extend_a_bound(
    kinds: list[WaitKind], ended_by: WaitKind, refused_before: int
) -> None:
    tried, waited = refusals_until_the_end(islice(cycle(kinds), 1000))
    assert tried[ended_by] == refused_before + 1
    assert waited >= GIVE_UP_AFTER[ended_by]


def test_a_request_that_lacks_a_quota_waits_for_as_long_as_it_takes() -> None:
    tried, _ = refusals_until_the_end([QUOTA_REACHED] * 1000)
    assert tried[QUOTA_REACHED] == 1000


def test_time_that_a_request_waits_for_a_quota_is_not_the_time_of_a_fault() -> None:
    backoff = Backoff().after(Refusals(requests={KEY: FAULT}), [], [], NOW)
    days_later = NOW + timedelta(days=3)
    backoff = backoff.after(Refusals(quotas={P3: QUOTA}), [], [], days_later)
    assert not backoff.gives_up(KEY, FAULT, days_later)


def test_a_delay_of_the_version_before_has_waited_since_its_first_refusal() -> None:
    stored = {
        "team": KEY[0], "request_id": KEY[1], "kind": FAULT, "tries": 9,
        "since": NOW.isoformat(), "retry_at": (NOW + timedelta(hours=25)).isoformat(),
    }  # fmt: skip
    assert backoff_from(json.dumps({"delays": [stored]})).gives_up(KEY, FAULT, NOW)


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
            KEY: Delay(
                kind=FAULT,
                since=NOW,
                tries=3,
                retry_at=NOW + minutes(40),
                waited=minutes(70),
                others=(Delay(kind=NAME, since=NOW, tries=1, retry_at=NOW, waited=minutes(10)),),
            )
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
