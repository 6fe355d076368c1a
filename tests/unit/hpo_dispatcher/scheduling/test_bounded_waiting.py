"""No head-of-queue blocking, and no starvation: how long others may pass a request."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hpo_dispatcher.scheduling.plan import RESERVE_AFTER
from hpo_dispatcher.scheduling.snapshot import (
    ReservationTimer,
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

BIG = ("fraud", "big")
OVERDUE = ReservationTimer(since=ago(99), passed_at=NOON - RESERVE_AFTER)


def test_a_request_that_smaller_ones_pass_out_of_turn_is_noted_with_the_time() -> None:
    heads = [queued(*BIG, 5, {M5: 10}), queued("vision", "small", 4, {M5: 1})]
    decided = decide(*heads, running=running("vision", 1, {M5: 15}), instances={M5: 20})
    assert started(decided) == [("vision", "small")]
    assert decided.reservation_timers[BIG].passed_at == NOON


def test_a_request_is_passed_by_those_behind_it_in_its_own_line() -> None:
    heads = [queued(*BIG, 5, {M5: 10}), queued("fraud", "small", 4, {M5: 1})]
    decided = decide(*heads, running=running("vision", 1, {M5: 15}), instances={M5: 20})
    assert decided.reservation_timers[BIG].passed_at == NOON


def test_a_request_is_not_passed_by_a_team_whose_turn_it_is() -> None:
    heads = [queued(*BIG, 5, {M5: 10}), queued("vision", "small", 4, {M5: 1})]
    running_jobs = running("fraud", 1, {M5: 15})
    decided = decide(*heads, running=running_jobs, instances={M5: 20})
    assert started(decided) == [("vision", "small")]
    assert decided.reservation_timers[BIG] == ReservationTimer(since=NOON)


def test_a_request_is_not_passed_by_what_takes_nothing_that_it_lacks() -> None:
    heads = [queued(*BIG, 5, {M5: 10}), queued("vision", "gpu", 4, {G5: 1})]
    decided = decide(*heads, running=running("vision", 1, {M5: 15}), instances={M5: 20, G5: 4})
    assert started(decided) == [("vision", "gpu")]
    assert decided.reservation_timers[BIG].passed_at is None


def test_after_the_bound_capacity_is_kept_for_what_was_passed() -> None:
    heads = [queued(*BIG, 45, {M5: 10}), queued("vision", "small", 4, {M5: 1})]
    decided = decide(
        *heads,
        running=running("vision", 1, {M5: 15}),
        instances={M5: 20},
        timers={BIG: OVERDUE},
    )
    assert started(decided) == []
    assert reason(decided, "small").endswith("reserved for fraud/big")


def test_what_is_kept_for_a_request_is_not_given_to_others_once_it_fits() -> None:
    heads = [queued(*BIG, 45, {M5: 20}), queued("vision", "small", 4, {M5: 1})]
    decided = decide(
        *heads,
        running=running("fraud", 3),
        instances={M5: 20},
        timers={BIG: OVERDUE},
    )
    assert started(decided) == [BIG]


def test_until_the_bound_nothing_is_kept() -> None:
    heads = [queued(*BIG, 45, {M5: 10}), queued("vision", "small", 4, {M5: 1})]
    young = ReservationTimer(since=ago(99), passed_at=NOON - RESERVE_AFTER + timedelta(seconds=1))
    decided = decide(
        *heads,
        running=running("vision", 1, {M5: 15}),
        instances={M5: 20},
        timers={BIG: young},
    )
    assert started(decided) == [("vision", "small")]
    assert decided.reservation_timers[BIG] == young


def test_what_is_kept_of_one_resource_keeps_no_other_from_starting() -> None:
    heads = [queued(*BIG, 99, {M5: 10}), queued("vision", "gpu", 4, {G5: 1})]
    running_jobs = running("vision", 1, {M5: 15})
    decided = decide(
        *heads,
        running=running_jobs,
        instances={M5: 20, G5: 4},
        timers={BIG: OVERDUE},
    )
    assert started(decided) == [("vision", "gpu")]


def test_of_several_overdue_requests_the_one_that_waited_longest_has_the_first_reservation() -> (
    None
):
    later = ReservationTimer(since=ago(90), passed_at=OVERDUE.passed_at + timedelta(seconds=-1))  # type: ignore[operator]
    heads = [queued(*BIG, 99, {M5: 10}), queued("vision", "big", 99, {M5: 9})]
    timers = {BIG: OVERDUE, ("vision", "big"): later}
    decided = decide(
        *heads,
        running=running("speech", 1, {M5: 12}),
        instances={M5: 20},
        timers=timers,
    )
    kept = {wait.head.team: wait.reason.text for wait in decided.waits}
    assert kept["fraud"].endswith("reserved for vision/big")
    assert "kept" not in kept["vision"]


def test_a_team_at_its_ceiling_is_not_passed_by_other_teams_but_by_its_own_later_requests() -> None:
    big, small = queued(*BIG, 99, {M5: 10}), queued("fraud", "small", 98, {M5: 1})
    others = queued("vision", "small", 4, {M5: 1})
    running_jobs = running("fraud", 1, {M5: 5}) + running("vision", 1, {M5: 7})
    for behind, passed_at in ((others, None), (small, NOON)):
        decided = decide(
            big, behind, running=running_jobs, instances={M5: 20}, fraud={"ceiling": 0.5}
        )
        assert started(decided) == [behind.key]
        assert decided.reservation_timers[BIG].passed_at == passed_at


def test_after_the_bound_a_team_at_its_ceiling_starts_nothing_that_keeps_it_there() -> None:
    heads = [queued(*BIG, 99, {M5: 10}), queued("fraud", "small", 98, {M5: 1})]
    running_jobs = running("fraud", 1, {M5: 5})
    decided = decide(
        *heads,
        running=running_jobs,
        instances={M5: 40},
        timers={BIG: OVERDUE},
        fraud={"ceiling": 0.25},
    )
    assert started(decided) == []
    assert reason(decided, "small") == "team fraud is at its ceiling of 25%"


@pytest.mark.parametrize(("hours", "first"), [(23, "vision"), (24, "fraud")])
def test_at_last_it_is_the_turn_of_whoever_is_first_in_line_whatever_its_share(
    hours: float, first: str
) -> None:
    heads = [queued("fraud", "f", 0), queued("vision", "v", 0)]
    timers = {("fraud", "f"): ReservationTimer(since=ago(hours * 60))}
    decided = decide(*heads, running=running("fraud", 8), slots=9, timers=timers)
    assert [team for team, _ in started(decided)] == [first]


def test_a_request_overtaken_in_its_own_line_stays_known_until_it_is_gone() -> None:
    urgent, big = queued("fraud", "urgent", 0, {M5: 9}, priority=5), queued(*BIG, 45, {M5: 10})
    running_jobs = running(None, 1, {M5: 15})
    decided = decide(
        urgent,
        big,
        running=running_jobs,
        instances={M5: 20},
        timers={BIG: OVERDUE},
    )
    assert decided.reservation_timers[BIG] == OVERDUE
    assert decided.reservation_timers["fraud", "urgent"] == ReservationTimer(since=NOON)
    assert BIG not in decide(urgent, running=running_jobs, timers={BIG: OVERDUE}).reservation_timers
