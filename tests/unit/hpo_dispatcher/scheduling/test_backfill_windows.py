"""For how long reservations lend capacity, and what they leave over for longer."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from hpo_dispatcher.contract.settings import TeamSettings
from hpo_dispatcher.scheduling.allocation import Allocation
from hpo_dispatcher.scheduling.backfill import Backfill
from hpo_dispatcher.scheduling.snapshot import SLOTS, Head, ReservationTimer, RunningJob
from tests.support.scheduling_scene import G5, M5, NOON, ago, queued, running

FOREVER = float("inf")
HALF = {"a": TeamSettings(ceiling=0.5)}
LIMITS = {SLOTS: 100, M5: 20, G5: 4}


def after(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def until(
    minutes: float | None, m5: int, team: str = "b", began: datetime | None = None
) -> RunningJob:
    end = None if minutes is None else after(minutes)
    (job,) = running(team, 1, {M5: m5}, expected_end=end, started_at=began)
    return job


def needs(m5: int, name: str = "big", team: str = "a", minutes: float | None = None) -> Head:
    head = queued(team, name, 60, {M5: m5})
    return head if minutes is None else replace(head, expected_seconds=60 * minutes)


def small(m5: int, team: str = "c") -> Head:
    return needs(m5, "small", team)


def lending(
    *reserved: Head,
    jobs: list[RunningJob],
    timer: ReservationTimer | None = None,
    teams: dict[str, TeamSettings] | None = None,
) -> Backfill:
    """Return what reservations of heads lend; a timer is of the first of them."""
    allocation = Allocation(LIMITS, teams or {}, jobs)
    for head in reserved:
        allocation.reserve(head)
    return Backfill(allocation, jobs, NOON, {reserved[0].key: timer} if timer else {})


@pytest.mark.parametrize(
    ("promised", "minutes"), [(-5, 0), (0, 0), (0.01, 0.01), (10, 10), (60, 60), (90, 60)]
)
def test_nothing_is_lent_after_the_time_that_was_promised(promised: float, minutes: float) -> None:
    timer = ReservationTimer(since=ago(99), promised_at=after(promised))
    backfill = lending(needs(20), jobs=[until(60, 15)], timer=timer)
    assert backfill.lends_for(small(5)) == pytest.approx(60 * minutes)


@pytest.mark.parametrize(
    ("began", "end", "minutes"),
    [
        (None, 90, 90),  # it is not known to have borrowed
        (ago(21), 90, 90),  # it ran before the reservation was made
        (ago(20), 90, 60),  # it has started with the reservation, or since: it borrows
        (ago(1), 90, 60),
        (ago(1), 10, 60),  # when it ends, nothing becomes free that was not counted before
    ],
)
def test_what_has_borrowed_does_not_extend_the_time_for_which_capacity_is_lent(
    began: datetime | None, end: float, minutes: float
) -> None:
    """Five of 20 instances are free in 30 minutes, ten more in an hour."""
    jobs = [until(30, 5), until(60, 10), until(end, 5, "c", began)]
    timer = ReservationTimer(since=ago(99), reserved_at=ago(20))
    assert lending(needs(20), jobs=jobs, timer=timer).lends_for(small(1)) == 60 * minutes


def test_what_has_borrowed_counts_once_after_it_has_ended() -> None:
    """Of 20 instances 5 are free in ten minutes, 10 in thirty and all in an hour."""
    jobs = [until(30, 5), until(60, 10), until(10, 5, "c", ago(1))]
    timer = ReservationTimer(since=ago(99), reserved_at=ago(20))
    assert lending(needs(12), jobs=jobs, timer=timer).lends_for(small(9)) == 3600.0


def test_what_has_borrowed_below_the_ceiling_of_its_team_does_not_extend_the_time_either() -> None:
    """Team a may use ten instances. Without the five borrowed ones, its request could start now."""
    jobs = [until(90, 5, "a", ago(1))]
    timer = ReservationTimer(since=ago(99), reserved_at=ago(20))
    backfill = lending(needs(6), jobs=jobs, timer=timer, teams=HALF)
    assert backfill.lends_for(small(15)) == 0.0


def test_a_reservation_that_could_be_met_now_without_what_has_borrowed_lends_nothing() -> None:
    jobs = [until(60, 10), until(None, 5, "c", ago(1))]  # which may never end
    timer = ReservationTimer(since=ago(99), reserved_at=ago(20))
    backfill = lending(needs(10), jobs=jobs, timer=timer)
    assert backfill.expected() == {("a", "big"): NOON}
    assert backfill.lends_for(small(6)) == 0.0


def test_what_has_borrowed_is_not_left_over_before_it_ends() -> None:
    """15 instances are free in an hour, and the borrowed ones half an hour later."""
    jobs = [until(30, 5), until(60, 10), until(90, 5, "c", ago(1))]
    timer = ReservationTimer(since=ago(99), reserved_at=ago(20))
    backfill = lending(needs(15), jobs=jobs, timer=timer)
    assert backfill.lends_for(small(1)) == 3600.0


def test_a_reservation_uses_nothing_before_it_is_met() -> None:
    first, second = needs(15, "first"), needs(5, "second")
    backfill = lending(first, second, jobs=[until(60, 15)])
    assert backfill.expected() == {first.key: after(60), second.key: NOON}


@pytest.mark.parametrize(("amount", "seconds"), [(8, FOREVER), (9, 3600.0)])
def test_what_is_left_over_is_counted_when_the_reservation_is_met(
    amount: int, seconds: float
) -> None:
    """Five of 20 instances are free now, and eight beside the reserved ones in an hour."""
    backfill = lending(needs(12), jobs=[until(60, 15)])
    assert backfill.lends_for(small(amount)) == seconds


@pytest.mark.parametrize(("amount", "seconds"), [(2, FOREVER), (3, 3600.0)])
def test_what_is_left_over_is_what_stays_free_from_then_on(amount: int, seconds: float) -> None:
    """The first one runs from 60 to 90 minutes: until then the second one leaves 2 of 12."""
    first, second = needs(8, "first", minutes=30), needs(10, "second")
    backfill = lending(first, second, jobs=[until(60, 15)])
    assert backfill.expected() == {first.key: after(60), second.key: after(60)}
    assert backfill.lends_for(small(amount)) == seconds


def gpus_for(head: Head, end: float | None) -> tuple[Allocation, list[RunningJob]]:
    """Return the allocation in which G5 instances are owed to a head once a job has ended."""
    expected = None if end is None else after(end)
    jobs = [until(60, 15), *running("d", 1, {G5: 4}, expected_end=expected)]
    allocation = Allocation(LIMITS, {}, jobs)
    allocation.reserve_owed(head)
    return allocation, jobs


GPUS = queued("a", "gpus", 60, {G5: 4})


@pytest.mark.parametrize(
    ("instances", "minutes"), [({M5: 1}, 60), ({G5: 1}, 30), ({M5: 1, G5: 1}, 30)]
)
def test_capacity_is_lent_until_the_first_of_the_reservations_needs_it(
    instances: dict[str, int], minutes: float
) -> None:
    allocation, jobs = gpus_for(GPUS, 30)
    allocation.reserve(needs(20))
    backfill = Backfill(allocation, jobs, NOON, {})
    assert backfill.lends_for(queued("c", "small", 0, instances)) == 60 * minutes


def test_a_reservation_of_unknown_time_is_in_the_way_of_its_own_resources_only() -> None:
    allocation, jobs = gpus_for(GPUS, None)
    backfill = Backfill(allocation, jobs, NOON, {})
    assert backfill.expected() == {}
    for team in ("a", "c"):  # its own team is below its ceiling
        assert backfill.lends_for(queued(team, "small", 0, {M5: 1})) == FOREVER
        assert backfill.lends_for(queued(team, "small", 0, {G5: 1})) == 0.0


def test_a_reservation_of_unknown_time_does_not_follow_one_of_other_resources() -> None:
    allocation, jobs = gpus_for(GPUS, 30)
    jobs[0] = replace(jobs[0], expected_end=None)
    allocation.reserve(needs(20))
    backfill = Backfill(allocation, jobs, NOON, {})
    assert backfill.expected() == {GPUS.key: after(30)}
    assert backfill.lends_for(small(1)) == 0.0


def test_a_reservation_of_unknown_time_follows_the_last_of_those_before_it() -> None:
    heads = [needs(5, name) for name in ("first", "second", "third")]
    backfill = lending(*heads, jobs=[until(30, 5), until(60, 5), until(None, 10)])
    expected = {head.key: after(at) for head, at in zip(heads, (30, 60, 60), strict=True)}
    assert backfill.expected() == expected
    backfill.enter(heads[0])
    backfill.enter(heads[1])
    del expected[heads[0].key], expected[heads[1].key]
    assert backfill.expected() == expected, "those that have started have no reservation"


def test_it_is_not_known_what_a_reservation_of_unknown_time_leaves_over() -> None:
    first, second, jobs = needs(20, "first"), needs(1, "second", "e"), [until(60, 15)]
    allocation = Allocation(LIMITS, {}, jobs)
    allocation.reserve(first)
    allocation.reserve(second)
    backfill = Backfill(allocation, jobs, NOON, {})
    assert backfill.expected()[second.key] == after(60)
    allocation.admit(first)
    backfill.enter(first)
    assert backfill.lends_for(small(1)) == 3600.0


def test_a_type_without_a_limit_is_always_left_over() -> None:
    reserved = queued("a", "big", 60, {M5: 15, "ml.unlimited": 9})
    backfill = lending(reserved, jobs=[until(60, 15)])
    head = queued("c", "small", 0, {M5: 5, "ml.unlimited": 9})
    assert backfill.lends_for(head) == FOREVER


@pytest.mark.parametrize(("in_an_hour", "minutes"), [(3, 60), (2, 90)])
def test_a_team_at_its_ceiling_waits_for_its_own_jobs(in_an_hour: int, minutes: float) -> None:
    """Its team may use ten instances and uses five: three must end for a request of eight."""
    jobs = [until(60, in_an_hour, "a"), until(90, 5 - in_an_hour, "a")]
    head = needs(8)
    assert lending(head, jobs=jobs, teams=HALF).expected() == {head.key: after(minutes)}


def at_the_ceiling() -> Backfill:
    """Team a may use ten instances, uses five for an hour, and six are reserved for it."""
    return lending(needs(6), jobs=[until(60, 5, "a")], teams=HALF)


@pytest.mark.parametrize(
    ("team", "amount", "seconds"),
    [
        ("a", 4, FOREVER),  # beside the six, below its ceiling
        ("a", 5, 3600.0),
        ("c", 14, FOREVER),  # all but the six: the ceiling of another team does not matter
        ("c", 15, 3600.0),
    ],
)
def test_below_its_ceiling_a_reservation_leaves_less_over_for_its_own_team(
    team: str, amount: int, seconds: float
) -> None:
    assert at_the_ceiling().lends_for(small(amount, team)) == seconds


@pytest.mark.parametrize(
    ("started", "left"),
    [
        (small(1, "a"), 3),  # of unknown length
        (needs(1, "small", "a", minutes=61), 3),
        (needs(1, "small", "a", minutes=60), 4),  # it has ended by then
        (small(1), 4),  # of another team
    ],
)
def test_what_a_team_starts_is_no_longer_left_over_below_its_ceiling(
    started: Head, left: int
) -> None:
    backfill = at_the_ceiling()
    backfill.enter(started)
    assert backfill.lends_for(small(left, "a")) == FOREVER
    assert backfill.lends_for(small(left + 1, "a")) == 3600.0


@pytest.mark.parametrize(("amount", "seconds"), [(2, FOREVER), (3, 3600.0)])
def test_a_team_at_its_ceiling_takes_no_more_than_is_left_over_of_all(
    amount: int, seconds: float
) -> None:
    """In an hour it may use four more beside the six reserved, of which two are free."""
    jobs = [until(60, 5, "a"), until(None, 12)]
    backfill = lending(needs(6), jobs=jobs, teams=HALF)
    assert backfill.lends_for(small(amount, "a")) == seconds
