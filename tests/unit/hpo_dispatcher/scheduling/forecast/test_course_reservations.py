"""Reservations and targets in a course of the next hours: as the dispatcher will treat them."""

from __future__ import annotations

from typing import Any

import pytest

from hpo_dispatcher.scheduling.forecast.course import DrawnCourse
from tests.support.course_scene import M5, at, drawn, running, times, waiting

G5 = "ml.g5.xlarge"
QUOTAS: dict[str, Any] = {
    "instances": {M5: {"limit": 20}, G5: {"limit": 1}},
    "quotas": {M5: 20, G5: 1},
}
# It needs all 20 instances; smaller requests have passed it for longer than they may.
BIG = waiting(
    "audio", "big", instances={M5: 20}, template="big", first_since=at(99), passed_at=at(31)
)
SMALL = ("vision", "small")


def with_small(minutes: float, jobs: list[dict[str, Any]], **reserved: Any) -> DrawnCourse:
    """Draw the course of a reserved request, and of a small one that takes so many minutes."""
    small = waiting(*SMALL, instances={M5: 5})
    return drawn(
        100, **QUOTAS, waiting=[BIG | reserved, small], running=jobs,
        run_times=[
            times("fraud", 60), times("vision", minutes), times("audio", 30, "big"),
            times("vision", 90, "long"),
        ],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("promised", "minutes", "passes"),
    [(None, 50, True), (50, 50, True), (49, 50, False), (-5, 1, False), (90, 51, False)],
)
def test_in_a_course_nothing_passes_a_reservation_beyond_what_was_promised(
    promised: float | None, minutes: float, passes: bool
) -> None:
    """The reserved request can start in 50 minutes."""
    promise = {} if promised is None else {"promised_at": at(-promised)}
    jobs = [running("fraud", 10, instances={M5: 15})]
    found = with_small(minutes, jobs, reserved_at=at(9), **promise)
    assert found.starts["audio", "big"] == 60.0 * 50
    assert found.starts[SMALL] == (0.0 if passes else 60.0 * 80)


@pytest.mark.parametrize(
    ("reserved", "began", "passes"),
    [
        ({}, 5, True),  # it is reserved for from now on: the other job has not borrowed
        ({"reserved_at": at(6)}, 5, False),
        ({"reserved_at": at(4)}, 5, True),
    ],
)
def test_in_a_course_what_has_borrowed_does_not_let_others_borrow_for_longer(
    reserved: dict[str, Any], began: float, passes: bool
) -> None:
    """10 of 20 instances are in use for an hour, and five others half an hour longer."""
    jobs = [
        running("fraud", 0, instances={M5: 10}),
        running("vision", began, instances={M5: 5}, template="long"),
    ]
    found = with_small(70, jobs, **reserved)
    assert (found.starts[SMALL] == 0.0) is passes


@pytest.mark.parametrize(("minutes", "passes"), [(48, True), (49, False)])
def test_what_starts_in_a_course_says_when_a_later_reservation_can_be_met(
    minutes: float, passes: bool
) -> None:
    """The big request is reserved for in ten minutes, the job before it starts now.

    The small request needs what a running job uses for another twelve minutes.
    """
    big = BIG | {"first_since": at(30), "passed_at": at(20)}
    found = drawn(
        100, **QUOTAS,
        waiting=[
            big, waiting("fraud", "before", instances={M5: 14}),
            waiting(*SMALL, instances={M5: 5, G5: 1}),
        ],
        running=[running("speech", 8, instances={M5: 1, G5: 1})],
        run_times=[
            times("fraud", 60), times("vision", minutes), times("audio", 30, "big"),
            times("speech", 20),
        ],
    )  # fmt: skip
    assert found.starts["fraud", "before"] == 0.0
    assert found.starts["audio", "big"] == 3600.0
    assert found.starts[SMALL] == (60.0 * 12 if passes else 60.0 * 90)


def test_a_request_waits_for_the_targets_on_which_it_may_run() -> None:
    """Home is free in 16 minutes and eu in 6; each job takes 20."""
    found = drawn(
        1, targets={"eu": {"tuning_jobs": {"limit": 1}}},
        waiting=[
            waiting("fraud", "home"),
            waiting("fraud", "eu", 2, targets=["eu"]),
            waiting("fraud", "next", 3, targets=["eu"]),
            waiting("vision", "either", 9, targets=["home", "eu"]),
        ],
        running=[running("audio", 4), running("audio", 14, target="eu")],
        run_times=[times(team, 20) for team in ("audio", "fraud", "vision")],
    )  # fmt: skip
    assert {request_id: start / 60 for (_, request_id), start in found.starts.items()} == {
        "eu": 6, "either": 16, "next": 26, "home": 36,
    }  # fmt: skip


def test_jobs_that_start_together_end_together() -> None:
    found = drawn(
        2, waiting=[waiting("fraud", f"f{n}", n) for n in range(1, 6)],
        run_times=[times("fraud", 10)],
    )  # fmt: skip
    assert [*found.starts.values()] == [0.0, 0.0, 600.0, 600.0, 1200.0]
    assert found.seconds == 1200.0


@pytest.mark.parametrize(
    ("others", "passes"),
    [
        ([], False),
        ([running(None, None)], False),  # the ends of other users' jobs are not waited for
        ([running("fraud", 0)], True),
        ([running("speech", 0)], True),
    ],
)
def test_in_a_course_the_last_of_several_jobs_is_expected_later_than_the_only_one(
    others: list[dict[str, Any]], passes: bool
) -> None:
    """Half of fraud's jobs take 50 minutes, half 70: the second of two is expected after 70.

    The small request takes 60 minutes, and passes the reservation if it is not met before.
    """
    half = {"team": "fraud", "template": "cpu", "seconds_per_round": [3000.0, 4200.0] * 10}
    found = drawn(
        100, **QUOTAS, waiting=[BIG, waiting(*SMALL, instances={M5: 5})],
        running=[running("fraud", 0, instances={M5: 15}), *others],
        run_times=[half, times("vision", 60), times("audio", 30, "big"), times("speech", 20)],
    )  # fmt: skip
    assert (found.starts[SMALL] == 0.0) is passes
