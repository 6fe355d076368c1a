"""EASY backfill: reserved capacity is lent to what ends before it is needed."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from hpo_dispatcher.scheduling.allocation import Allocation
from hpo_dispatcher.scheduling.backfill import Backfill
from hpo_dispatcher.scheduling.plan import plan
from hpo_dispatcher.scheduling.snapshot import (
    SLOTS,
    Capacity,
    Head,
    ReservationTimer,
    RunningJob,
    Snapshot,
)
from tests.support.scheduling_scene import (
    G5,
    M5,
    NOON,
    ago,
    decide,
    queued,
    reason,
    running,
    started,
)

OVERDUE = ReservationTimer(since=ago(99), passed_at=ago(31))
BIG = queued("a", "big", 60, {M5: 20})


def lasting(head: Head, minutes: float) -> Head:
    return replace(head, expected_seconds=minutes * 60)


def until(minutes: float, team: str = "b", m5: int = 15) -> list[RunningJob]:
    return running(team, 1, {M5: m5}, expected_end=NOON + timedelta(minutes=minutes))


@pytest.mark.parametrize(("minutes", "starts"), [(60, True), (61, False)])
def test_a_request_that_ends_before_a_reservation_can_be_met_may_pass(
    minutes: float, starts: bool
) -> None:
    small = lasting(queued("c", "small", 0, {M5: 5}), minutes)
    decided = decide(BIG, small, running=until(60), instances={M5: 20}, timers={BIG.key: OVERDUE})
    assert started(decided) == ([small.key] if starts else [])


def test_a_request_of_unknown_length_does_not_pass() -> None:
    small = queued("c", "small", 0, {M5: 5})
    decided = decide(BIG, small, running=until(60), instances={M5: 20}, timers={BIG.key: OVERDUE})
    assert started(decided) == []
    assert reason(decided, "small").endswith("reserved for a/big")


def test_nothing_passes_a_reservation_that_waits_for_jobs_of_unknown_length() -> None:
    small = lasting(queued("c", "small", 0, {M5: 5}), 1)
    decided = decide(
        BIG, small, running=running("b", 1, {M5: 15}), instances={M5: 20},
        timers={BIG.key: OVERDUE},
    )  # fmt: skip
    assert started(decided) == []


def test_a_request_of_the_same_team_may_pass_as_well() -> None:
    small = lasting(queued("a", "small", 0, {M5: 5}), 30)
    decided = decide(
        BIG, small, running=until(60), instances={M5: 20}, timers={BIG.key: OVERDUE}, a={}
    )
    assert started(decided) == [small.key]


def test_a_request_for_a_whole_quota_keeps_it_while_its_own_team_uses_a_part() -> None:
    small = [lasting(queued("c", f"s{n}", 9 - n, {M5: 1}), 60 + n) for n in range(2)]
    decided = decide(
        BIG, *small, running=until(60, team="a", m5=1), instances={M5: 20},
        timers={BIG.key: OVERDUE},
    )  # fmt: skip
    assert started(decided) == [small[0].key], "the other one would end a minute too late"


def test_a_request_at_its_ceiling_keeps_what_jobs_of_its_own_team_do_not_free() -> None:
    big = queued("a", "big", 60, {M5: 8})
    small = [queued("c", f"s{n}", 5 - n, {M5: 1}) for n in range(8)]
    decided = decide(
        big, *small, running=until(60, team="a", m5=5), instances={M5: 20},
        timers={big.key: OVERDUE}, a={"ceiling": 0.5}, c={},
    )  # fmt: skip
    # Five of the fifteen free instances are kept; the job of a frees three that it may use.
    assert len(started(decided)) == 8
    more = [queued("c", f"t{n}", 0, {M5: 1}) for n in range(8)]
    decided = decide(
        big, *small, *more, running=until(60, team="a", m5=5), instances={M5: 20},
        timers={big.key: OVERDUE}, a={"ceiling": 0.5}, c={},
    )  # fmt: skip
    assert len(started(decided)) == 12


@pytest.mark.parametrize(("minutes", "starts"), [(60, True), (61, False)])
def test_a_request_passes_one_of_its_team_at_the_ceiling_if_it_ends_in_time(
    minutes: float, starts: bool
) -> None:
    big = queued("a", "big", 60, {M5: 10})
    small = lasting(queued("a", "small", 0, {M5: 1}), minutes)
    decided = decide(
        big, small, running=until(60, team="a", m5=5), instances={M5: 20},
        timers={big.key: OVERDUE}, a={"ceiling": 0.5},
    )  # fmt: skip
    assert started(decided) == ([small.key] if starts else [])


def test_what_a_reservation_leaves_over_is_lent_without_a_bound() -> None:
    big = queued("a", "big", 60, {M5: 15})
    small = [queued("c", f"s{n}", 5 - n, {M5: 2}) for n in range(4)]
    decided = decide(big, *small, running=until(60), instances={M5: 20}, timers={big.key: OVERDUE})
    assert started(decided) == [small[0].key, small[1].key], "5 are left beside the 15"


def test_what_passes_ends_before_the_time_that_was_promised_first() -> None:
    """The running job takes longer than expected: no more is lent than was at first."""
    late = replace(OVERDUE, promised_at=NOON + timedelta(minutes=10))
    heads = [
        lasting(queued("c", "long", 1, {M5: 5}), 11),
        lasting(queued("c", "short", 0, {M5: 5}), 10),
    ]
    decided = decide(BIG, *heads, running=until(60), instances={M5: 20}, timers={BIG.key: late})
    assert started(decided) == [("c", "short")]
    assert decided.reservation_timers[BIG.key].promised_at == late.promised_at


def test_what_borrows_does_not_let_others_borrow_for_longer() -> None:
    """A job that ran before ends in 10 minutes, one that has borrowed since in 60."""
    reserved = replace(OVERDUE, reserved_at=ago(20), promised_at=NOON + timedelta(minutes=90))
    before = until(10, m5=10)
    borrower = running(
        "c", 1, {M5: 5}, started_at=ago(5), expected_end=NOON + timedelta(minutes=60)
    )
    heads = [
        lasting(queued("c", "long", 1, {M5: 1}), 11),
        lasting(queued("c", "short", 0, {M5: 1}), 10),
    ]
    decided = decide(
        BIG, *heads, running=[*before, *borrower], instances={M5: 20}, timers={BIG.key: reserved}
    )
    assert started(decided) == [("c", "short")]
    elsewhere = [replace(borrower[0], started_at=ago(30))]
    decided = decide(
        BIG, *heads, running=[*before, *elsewhere], instances={M5: 20}, timers={BIG.key: reserved}
    )
    assert started(decided) == [("c", "long"), ("c", "short")], "it ran before the reservation"


def test_a_reservation_remembers_since_when_it_has_been_made() -> None:
    decided = decide(BIG, running=until(60), instances={M5: 20}, timers={BIG.key: OVERDUE})
    timer = decided.reservation_timers[BIG.key]
    assert timer.reserved_at == NOON
    earlier = replace(timer, reserved_at=ago(5))
    again = decide(BIG, running=until(60), instances={M5: 20}, timers={BIG.key: earlier})
    assert again.reservation_timers[BIG.key].reserved_at == ago(5)
    unmet = decide(BIG, running=until(60, m5=20), instances={M5: 20}, timers={})
    assert unmet.reservation_timers[BIG.key].reserved_at is None


def test_a_reservation_remembers_when_it_was_first_expected_to_be_met() -> None:
    decided = decide(BIG, running=until(60), instances={M5: 20}, timers={BIG.key: OVERDUE})
    assert decided.reservation_timers[BIG.key].promised_at == NOON + timedelta(minutes=60)
    without = decide(BIG, running=until(60, m5=20), instances={M5: 20}, timers={})
    assert without.reservation_timers[BIG.key].promised_at is None


def test_a_request_without_a_reservation_any_more_has_no_promise() -> None:
    """A later reservation of it lends capacity again until it can be met then."""
    recent = ReservationTimer(since=NOON, promised_at=NOON + timedelta(minutes=10))
    decided = decide(BIG, running=until(60), instances={M5: 20}, timers={BIG.key: recent})
    assert decided.reservation_timers[BIG.key].promised_at is None


def test_a_reservation_of_another_type_does_not_matter() -> None:
    big = queued("a", "big", 60, {G5: 4})
    gpu, cpu = lasting(queued("c", "gpu", 1, {G5: 1}), 61), queued("c", "cpu", 0, {M5: 1})
    decided = decide(
        big, gpu, cpu, instances={G5: 4, M5: 20}, timers={big.key: OVERDUE},
        running=running("b", 1, {G5: 3}, expected_end=NOON + timedelta(hours=1)),
    )  # fmt: skip
    assert started(decided) == [cpu.key]


@pytest.mark.parametrize("seed", range(20))
def test_a_request_with_a_reservation_starts_when_it_was_promised_if_run_times_hold(
    seed: int,
) -> None:
    """Random work of its own and of other teams: it never starts later than first expected."""
    draw = random.Random(seed)
    now = NOON
    running_jobs = [
        RunningJob(
            tuning_job_name=f"r{n}", team="b", instances={M5: 1},
            expected_end=NOON + timedelta(minutes=draw.randint(1, 120)),
        )
        for n in range(20)
    ]  # fmt: skip
    timers = {BIG.key: OVERDUE}
    promised: datetime | None = None
    for number in range(200):
        queues: dict[str, list[Head]] = {"a": [BIG], "c": []}
        for k in range(5):
            team = draw.choice("ac")
            small = queued(team, f"s{number}-{k}", 0, {M5: draw.randint(1, 6)})
            queues[team].append(lasting(small, draw.randint(1, 90)))
        snapshot = Snapshot(
            now=now, running_jobs=running_jobs, queues=queues, reservation_timers=timers
        )
        decided = plan(snapshot, Capacity(tuning_jobs=100, instances={M5: 20}), {})
        promised = promised or decided.reservation_timers[BIG.key].promised_at
        for head in decided.starts:
            end = now + timedelta(seconds=head.expected_seconds or 0)
            running_jobs.append(
                RunningJob(
                    tuning_job_name="/".join(head.key), team=head.team,
                    instances=head.instances, expected_end=end,
                )
            )  # fmt: skip
        if BIG.key in started(decided):
            break
        timers = {BIG.key: decided.reservation_timers[BIG.key]}
        now = min(job.expected_end for job in running_jobs if job.expected_end)
        running_jobs = [job for job in running_jobs if job.expected_end != now]
    assert promised is not None
    assert BIG.key in started(decided)
    assert now <= promised


def allocated(*reserved: Head, running: list[RunningJob], m5: int = 20) -> Allocation:
    allocation = Allocation({SLOTS: 100, M5: m5}, {}, running)
    for head in reserved:
        allocation.reserve(head)
    return allocation


@pytest.mark.parametrize(
    ("ends", "expected"), [((60,), 60), ((60, 90), 90), ((-5,), 0), ((0,), 0), ((30, -5), 30)]
)
def test_a_reservation_is_expected_to_be_met_when_enough_jobs_have_ended(
    ends: tuple[float, ...], expected: float
) -> None:
    """A job that should have ended already ends now."""
    jobs = [job for each in ends for job in until(each, m5=5)]
    backfill = Backfill(allocated(BIG, running=jobs), jobs, NOON, {})
    assert backfill.expected() == {BIG.key: NOON + timedelta(minutes=expected)}


def test_a_reservation_is_expected_to_be_met_when_the_one_before_it_has_run() -> None:
    first, second = lasting(BIG, 30), queued("d", "next", 50, {M5: 20})
    jobs = until(60)
    backfill = Backfill(allocated(first, second, running=jobs), jobs, NOON, {})
    assert backfill.expected() == {
        first.key: NOON + timedelta(minutes=60), second.key: NOON + timedelta(minutes=90)
    }  # fmt: skip


def test_what_follows_a_request_of_unknown_length_is_met_no_earlier_than_that_one() -> None:
    second, third = queued("d", "next", 50, {M5: 20}), queued("e", "last", 40, {M5: 1})
    jobs = until(60)
    backfill = Backfill(allocated(BIG, second, third, running=jobs), jobs, NOON, {})
    at = NOON + timedelta(minutes=60)
    assert backfill.expected() == {BIG.key: at, second.key: at, third.key: at}


def test_what_is_not_free_is_not_lent_however_short_a_request_is() -> None:
    small = replace(queued("c", "small", 0, {M5: 6}), expected_seconds=0.5)
    decided = decide(BIG, small, running=until(60), instances={M5: 20}, timers={BIG.key: OVERDUE})
    assert started(decided) == []


@pytest.mark.parametrize(("minutes", "seconds"), [(60, 3600.0), (0, 0.0), (-5, 0.0)])
def test_capacity_is_lent_until_it_is_needed(minutes: float, seconds: float) -> None:
    jobs = until(minutes)
    backfill = Backfill(allocated(BIG, running=jobs), jobs, NOON, {})
    assert backfill.lends_for(queued("c", "small", 0, {M5: 5})) == seconds
    assert backfill.lends_for(BIG) == float("inf"), "its own reservation is not in its way"


def test_what_starts_and_outlasts_a_window_takes_from_what_is_left_over_then() -> None:
    """20 instances in an hour, of which the reservation needs 15: 5 are left over."""
    reserved = queued("a", "big", 60, {M5: 15})
    jobs = until(60, m5=15)
    backfill = Backfill(allocated(reserved, running=jobs), jobs, NOON, {})
    head = queued("c", "first", 0, {M5: 3})
    assert backfill.lends_for(head) == float("inf")
    backfill.enter(lasting(head, 60))  # it has ended by then
    assert backfill.lends_for(head) == float("inf")
    backfill.enter(lasting(head, 61))
    assert backfill.lends_for(queued("c", "second", 0, {M5: 2})) == float("inf")
    assert backfill.lends_for(queued("c", "third", 0, {M5: 3})) == 3600.0
    backfill.enter(reserved)
    assert backfill.expected() == {}
