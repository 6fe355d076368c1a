"""When what SageMaker refused is tried again, and what survives from one cycle to the next."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import Any

import pytest

from hpo_dispatcher.contract.aws_limits import QuotaExceeded
from hpo_dispatcher.contract.documents.capacity import WaitKind, WaitReason
from hpo_dispatcher.contract.entry import Entry, Status
from hpo_dispatcher.scheduling.backoff import (
    GIVE_UP_AFTER,
    Backoff,
    Delay,
    ReachedLimit,
    Refusals,
    lacks,
)
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


def at(limit: int, in_use: int, **fields: Any) -> ReachedLimit:
    quota = QuotaExceeded(name=QUOTA.name, limit=limit, in_use=in_use, requested=1)
    return ReachedLimit(quota=quota, **({"tries": 1, "retry_at": NOW + minutes(10)} | fields))


def entry(request_id: str, count: int = 1, **fields: Any) -> Entry:
    return Entry(
        team="fraud", request_id=request_id, status=Status.QUEUED, accepted_at=NOW,
        instances={P3: count}, **fields,
    )  # fmt: skip


@pytest.mark.parametrize(("in_use", "free"), [(1, 3), (4, 0), (5, 0)])
def test_what_is_left_of_a_limit_is_never_negative(in_use: int, free: int) -> None:
    assert at(4, in_use).free == free


def test_what_starts_within_a_limit_counts_toward_it() -> None:
    reached = at(9, 2, counted=2)
    more = reached.with_more(3)
    assert (more.quota.in_use, more.counted, more.free) == (5, 5, 4)
    assert (more.quota.limit, more.tries, more.retry_at) == (9, 1, NOW + minutes(10))


@pytest.mark.parametrize(
    ("started", "after", "in_use"),
    [
        ([], 0, 2),
        ([], 99, 2),  # nothing that needs it has started: the limit is not known to be higher
        (["a"], 0, 3),
        (["a"], 9, 3),
        (["a"], 10, None),  # it was tried again, and has started: the limit has been raised
    ],
)
def test_a_limit_is_forgotten_once_something_starts_that_was_tried_again(
    started: list[str], after: int, in_use: int | None
) -> None:
    before = Backoff(limits={P3: at(4, 2)})
    found = before.after(Refusals(), [entry(each) for each in started], [], NOW + minutes(after))
    assert (found.limits[P3].quota.in_use if P3 in found.limits else None) == in_use


@pytest.mark.parametrize(
    ("amount", "minute", "kind"),
    [
        (2, 0, None),
        (3, 0, WaitKind.INSTANCES),
        (3, 9, WaitKind.INSTANCES),
        (3, 10, None),  # it is tried again
        (4, 0, WaitKind.INSTANCES),
        (5, 0, WaitKind.NEVER_FITS),
    ],
)
def test_what_needs_more_than_is_left_of_a_limit_waits_until_it_is_tried_again(
    amount: int, minute: int, kind: WaitKind | None
) -> None:
    backoff = Backoff(limits={P3: at(4, 2)})
    waits = backoff.waits({"fraud": [entry("a", amount)]}, NOW + minutes(minute))
    assert [each.kind for each in waits.values()] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (
            3,
            f"AWS counts 2/4 of '{QUOTA.name}', 3 needed; tried again at 00:10 UTC, "
            "or when a tuning job that uses it ends",
        ),
        (5, f"needs 5 of '{QUOTA.name}', AWS allows 4: never fits until AWS raises the quota"),
    ],
)
def test_the_reason_names_the_quota_as_aws_counts_it(amount: int, text: str) -> None:
    waits = Backoff(limits={P3: at(4, 2)}).waits({"fraud": [entry("a", amount)]}, NOW)
    assert [each.text for each in waits.values()] == [text]


@pytest.mark.parametrize(("minute", "waits"), [(0, True), (9, True), (10, False)])
def test_a_refused_request_waits_for_its_next_try_and_says_why(minute: int, waits: bool) -> None:
    delay = Delay(kind=FAULT, since=NOW, tries=1, retry_at=NOW + minutes(10))
    backoff = Backoff(requests={KEY: delay})
    found = backoff.waits({"fraud": [entry("a", reason="no role")]}, NOW + minutes(minute))
    if waits:
        assert found[KEY] == WaitReason(kind=FAULT, text="no role; tried again at 00:10 UTC")
    else:
        assert found == {}


@pytest.mark.parametrize(("delayed", "waits"), [(49, False), (50, True)])
def test_behind_fifty_refused_requests_the_others_of_the_team_wait(
    delayed: int, waits: bool
) -> None:
    delay = Delay(kind=FAULT, since=NOW, tries=1, retry_at=NOW)
    backoff = Backoff(requests={("fraud", f"r{n}"): delay for n in range(delayed)})
    others = replace(entry("new"), team="vision")
    queues = {"fraud": [entry("new"), entry("r0")], "vision": [others]}
    found = backoff.waits(queues, NOW)
    assert found.keys() == ({("fraud", "new")} if waits else set())
    assert [each.kind for each in found.values()] == [FAULT] * waits
    assert all("team fraud" in each.text for each in found.values())


@pytest.mark.parametrize(
    ("needed", "in_use", "lacking"), [(2, 2, False), (3, 2, True), (1, 4, True), (1, 9, True)]
)
def test_what_needs_more_than_sagemaker_said_is_left_is_not_tried_in_the_same_cycle(
    needed: int, in_use: int, lacking: bool
) -> None:
    quota = QuotaExceeded(name=QUOTA.name, limit=4, in_use=in_use, requested=1)
    assert lacks(entry("a", needed), {P3: quota}) is lacking
    assert not lacks(entry("a", needed), {"ml.c5.xlarge": quota})


def test_users_of_a_limit_are_the_jobs_that_ran_and_started() -> None:
    jobs = [
        RunningJob(tuning_job_name="uses", team=None, instances={P3: 2}),
        RunningJob(tuning_job_name="other", team=None, instances={"ml.c5.xlarge": 7}),
    ]
    started = entry("new", 1)
    found = Backoff().after(Refusals(quotas={P3: QUOTA}), [started], jobs, NOW).limits[P3]
    assert (found.users, found.counted, found.tries) == ({"uses", started.job_name}, 3, 1)
    again = Backoff(limits={P3: found}).after(Refusals(quotas={P3: QUOTA}), [], jobs, NOW)
    assert (again.limits[P3].tries, again.limits[P3].retry_at) == (2, NOW + minutes(20))


@pytest.mark.parametrize(
    ("refused_on", "open_"),
    [(("home",), ("eu",)), (("eu",), ("home",)), (("home", "eu"), ("home", "eu"))],
)
def test_a_request_is_tried_on_the_targets_that_have_not_refused_it(
    refused_on: tuple[str, ...], open_: tuple[str, ...]
) -> None:
    delay = Delay(
        kind=FAULT, since=NOW, tries=1, retry_at=NOW + minutes(10), targets=refused_on
    )  # fmt: skip
    backoff = Backoff(requests={KEY: delay})
    assert backoff.open_targets(entry("a", targets=("home", "eu")), NOW) == open_
    assert backoff.open_targets(entry("a", targets=("eu",)), NOW) == ("eu",)


def test_a_request_that_is_refused_on_a_second_target_keeps_its_delay_on_the_first() -> None:
    first = Backoff().after(Refusals(requests={KEY: FAULT}), [], [], NOW)
    on_eu = Refusals(requests={KEY: FAULT}, targets={KEY: "eu"})
    second = first.after(on_eu, [], [], NOW + minutes(5))
    assert second.requests[KEY] == replace(first.requests[KEY], targets=("home", "eu"))
    waiting = entry("a", targets=("home", "eu"), reason="no role")
    assert first.waits({"fraud": [waiting]}, NOW + minutes(5)) == {}
    assert second.waits({"fraud": [waiting]}, NOW + minutes(5)) == {
        KEY: WaitReason(kind=FAULT, text="no role; tried again at 00:10 UTC")
    }


@pytest.mark.parametrize(("target", "minute"), [("home", 5), ("eu", 10)])
def test_a_refusal_where_or_when_it_may_be_tried_begins_the_next_longer_wait(
    target: str, minute: int
) -> None:
    first = Backoff().after(Refusals(requests={KEY: FAULT}), [], [], NOW)
    again = Refusals(requests={KEY: FAULT}, targets={KEY: target})
    found = first.after(again, [], [], NOW + minutes(minute)).requests[KEY]
    assert (found.tries, found.targets) == (2, (target,))
    assert found.retry_at == NOW + minutes(minute + 20)
