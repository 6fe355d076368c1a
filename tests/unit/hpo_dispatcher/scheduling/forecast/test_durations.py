"""Run times as a forecast draws them."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from hpo_dispatcher.contract.documents.capacity import RunningTuningJob
from hpo_dispatcher.scheduling.forecast.durations import (
    LONGEST_TAIL,
    OF_OTHERS,
    Durations,
    possible,
    similar,
)
from hpo_dispatcher.scheduling.forecast.future import RunTimeFacts
from hpo_dispatcher.scheduling.history.run_times import ENOUGH, SAMPLES, RunTimes, Work

CPU = Work(team="fraud", template="cpu")
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def remembered(*seconds: float, stated: float = 0) -> RunTimes:
    run_times = RunTimes()
    for each in seconds:
        run_times.record(CPU, each, stated)
    return run_times


def drawn(run_times: RunTimes, known: RunTimeFacts, elapsed: float = 0, seed: int = 1) -> float:
    return Durations(run_times, [], random.Random(seed)).left(CPU, known, elapsed)


def product_limits(ended: list[float], unended: list[float]) -> dict[float, float]:
    """Return the part that is left after each end, as Kaplan and Meier (1958) define it."""
    left, limits = 1.0, dict[float, float]()
    for seconds in sorted(set(ended)):
        at_risk = sum(each >= seconds for each in [*ended, *unended])
        left *= 1 - ended.count(seconds) / at_risk
        limits[seconds] = left
    return limits


def test_jobs_that_still_run_count_as_in_kaplan_and_meiers_estimate() -> None:
    ended = [6.0, 19.0, 32.0, 42.0, 42.0, 94.0, 207.0, 253.0]
    unended = [43.0, 126.0, 169.0, 211.0, 227.0, 255.0, 270.0]
    left, found = 1.0, dict[float, float]()
    for seconds, weight, has_ended in possible(ended, unended):
        left -= weight
        if has_ended:
            found[seconds] = left
    assert found == pytest.approx(product_limits(ended, unended))


def test_weights_add_up_and_only_the_last_may_not_have_ended() -> None:
    found = possible([100, 300], [200, 400])
    assert sum(each.weight for each in found) == pytest.approx(1)
    assert [(each.seconds, each.ended) for each in found] == [
        (100, True), (300, True), (400, False),
    ]  # fmt: skip
    assert possible([], []) == []


def test_a_run_time_is_one_of_those_that_the_job_has_not_outlasted() -> None:
    run_times = remembered(100, 200, 300)
    found = {drawn(run_times, RunTimeFacts(), 150, seed) for seed in range(100)}
    assert found <= {50.0, 150.0} | {each for each in found if each <= 150 * (LONGEST_TAIL - 1)}
    assert {50.0, 150.0} <= found


def test_a_job_that_has_outlasted_all_others_runs_twice_as_long_as_often_as_pareto_says() -> None:
    """With Pareto's exponent of 2, a quarter of the jobs that run for so long run twice as long."""
    run_times = remembered(100, 100, 100)
    left = [drawn(run_times, RunTimeFacts(), 1000, seed) for seed in range(2000)]
    assert sum(each >= 1000 for each in left) / len(left) == pytest.approx(1 / 4, abs=0.03)
    assert min(left) >= 0
    assert max(left) == 1000 * (LONGEST_TAIL - 1)


def test_a_run_time_like_that_of_a_job_that_still_runs_is_longer_than_it_has_run() -> None:
    """The job that has run for 1,000 seconds, and still runs, says only "longer than 1,000"."""
    still = RunningTuningJob(team="fraud", template="cpu")
    left = [
        Durations(remembered(100, 100, 100), [(still, 1000.0)], random.Random(seed)).left(
            CPU, RunTimeFacts(), 500
        )
        for seed in range(200)
    ]
    assert 500.0 not in left
    assert sum(each > 500 for each in left) > 100


def test_a_job_never_runs_longer_than_it_may() -> None:
    run_times = remembered(100, 5000, 6000)
    assert max(drawn(run_times, RunTimeFacts(most=3600), 200, seed) for seed in range(50)) == 3400


def test_run_times_beyond_the_maximum_count_only_if_there_are_no_others() -> None:
    run_times = remembered(100, 3600, 5000, 6000)
    facts = RunTimeFacts(most=3600)
    assert {drawn(run_times, facts, 0, seed) for seed in range(50)} == {100.0, 3600.0}
    assert {drawn(remembered(100, 5000), facts, 0, seed) for seed in range(50)} == {100.0, 3600.0}
    often = [drawn(remembered(100, 5000, 6000), facts, 0, seed) for seed in range(200)]
    assert sum(each == 100 for each in often) > 100, "5000 and 6000 count if nothing else is drawn"


def test_a_stated_run_time_is_as_wrong_as_recent_ones() -> None:
    run_times = remembered(500, 250, 1000, stated=1000)
    found = {drawn(run_times, RunTimeFacts(stated=2000), 0, seed) for seed in range(50)}
    assert found == {500.0, 1000.0, 2000.0}
    assert drawn(run_times, RunTimeFacts(stated=2000), 1500) == 500


def test_while_few_have_ended_those_that_run_make_run_times_longer() -> None:
    run_times = remembered(100, 100, 100)
    job = RunningTuningJob(team="fraud", template="cpu", started_at=NOON)

    def mean(running: list[tuple[RunningTuningJob, float]]) -> float:
        seconds = [
            Durations(run_times, running, random.Random(seed)).left(CPU, RunTimeFacts())
            for seed in range(200)
        ]
        return sum(seconds) / len(seconds)

    assert mean([]) == 100
    assert mean([(job, 900.0)] * 3) > 300


HOUR, DAYS = 3600, 5 * 86_400


def test_a_job_that_may_run_for_days_is_drawn_from_those_that_might_have() -> None:
    run_times = RunTimes()
    for number in range(40):
        run_times.record(CPU, 600 + number, most=HOUR)
        run_times.record(CPU, 20_000 + number, most=DAYS)
    short = [drawn(run_times, RunTimeFacts(most=HOUR), seed=seed) for seed in range(50)]
    long = [drawn(run_times, RunTimeFacts(most=DAYS), seed=seed) for seed in range(50)]
    assert max(short) < 700
    assert min(long) >= 20_000
    nearly = [drawn(run_times, RunTimeFacts(most=4 * 86_400), seed=seed) for seed in range(50)]
    assert min(nearly) >= 20_000, "not the same maximum, but a similar one"


def test_with_a_new_maximum_all_run_times_of_the_kind_count() -> None:
    run_times = RunTimes()
    for number in range(20):
        run_times.record(CPU, 100 + number, most=HOUR)
    assert 100 <= drawn(run_times, RunTimeFacts(most=DAYS)) < 120
    assert 100 <= drawn(run_times, RunTimeFacts()) < 120, "of an entry of an old version"


@pytest.mark.parametrize(
    ("of_others", "seconds"),
    [
        ([90, 100, 110, 250, 95, 105, 120, 98], {100, 110, 120, 90, 250, 95, 105, 98}),
        ([9000] * 8, {100, 110, 120}),
    ],
)
def test_run_times_of_other_teams_count_while_they_are_similar(
    of_others: list[float], seconds: set[float]
) -> None:
    run_times = remembered(100, 110, 120)
    for each in of_others:
        run_times.record(Work(team="vision", template="cpu"), each)
        run_times.record(Work(team="vision", template="gpu"), 77)
    found = {drawn(run_times, RunTimeFacts(), seed=seed) for seed in range(300)}
    assert found == seconds


def test_samples_are_similar_up_to_the_distance_that_one_of_twenty_exceeds() -> None:
    """It is 0.607 for two samples of ten (Smirnov, Annals of Mathematical Statistics 1948)."""
    first = [float(each) for each in range(10)]
    assert similar(first, [each + 6 for each in first])
    assert not similar(first, [each + 7 for each in first])
    assert not similar([each + 7 for each in first], first)
    assert similar(first, [])


@pytest.mark.parametrize(("with_the_maximum", "all_count"), [(ENOUGH - 1, True), (ENOUGH, False)])
def test_run_times_with_other_maximums_count_while_few_have_a_similar_one(
    with_the_maximum: int, all_count: bool
) -> None:
    run_times = RunTimes()
    for _ in range(with_the_maximum):
        run_times.record(CPU, 20_000, most=DAYS)
    for _ in range(5):
        run_times.record(CPU, 100, most=HOUR)
    found = {drawn(run_times, RunTimeFacts(most=DAYS), seed=seed) for seed in range(100)}
    assert found == ({100.0, 20_000.0} if all_count else {20_000.0})


def still_running(seconds: float, **fields: float) -> tuple[RunningTuningJob, float]:
    job = {"team": "fraud", "template": "cpu", "most_seconds": HOUR}
    return RunningTuningJob.model_validate(job | fields), seconds


def longest(run_times: RunTimes, running: list[tuple[RunningTuningJob, float]]) -> float:
    """Return the longest of many run times of a job of one round that may run for an hour."""
    return max(
        Durations(run_times, running, random.Random(seed)).left(CPU, RunTimeFacts(most=HOUR))
        for seed in range(100)
    )


def test_only_jobs_of_the_same_kind_that_still_run_make_run_times_longer() -> None:
    run_times = RunTimes()
    for _ in range(ENOUGH):
        run_times.record(CPU, 100, most=HOUR)
    assert longest(run_times, [still_running(900)]) > 900
    assert longest(run_times, [still_running(900, most_seconds=2 * HOUR)]) > 900
    assert longest(run_times, [still_running(900, most_seconds=2 * HOUR + 1)]) == 100
    other: dict[str, Any]
    for other in ({"team": "vision"}, {"team": None}, {"template": "gpu"}):
        assert longest(run_times, [still_running(900, **other)]) == 100


def test_a_job_of_several_rounds_that_still_runs_counts_by_its_time_per_round() -> None:
    """It has run for 90 seconds in each of ten rounds, each of which may take an hour."""
    run_times = RunTimes()
    for _ in range(ENOUGH):
        run_times.record(CPU, 100, most=HOUR)
    ten_rounds: dict[str, float] = {"rounds": 10, "most_seconds": 10 * HOUR}
    assert longest(run_times, [still_running(900, **ten_rounds)] * 9) == 100
    assert longest(run_times, [still_running(9000, **ten_rounds)]) > 900


def test_a_job_of_several_rounds_is_like_those_with_its_maximum_for_one_round() -> None:
    run_times = RunTimes()
    for _ in range(ENOUGH):
        run_times.record(CPU, 100, most=HOUR)
        run_times.record(CPU, 20_000, most=10 * HOUR)
    ten_rounds = Work(team="fraud", template="cpu", rounds=10)
    found = {
        Durations(run_times, [], random.Random(seed)).left(ten_rounds, RunTimeFacts(most=10 * HOUR))
        for seed in range(50)
    }
    assert found == {10 * 100.0}


@pytest.mark.parametrize(("ended", "counts"), [(SAMPLES - 1, True), (SAMPLES, False)])
def test_jobs_that_still_run_count_until_enough_have_ended(ended: int, counts: bool) -> None:
    run_times = RunTimes()
    for _ in range(ended):
        run_times.record(CPU, 100, most=HOUR)
    assert (longest(run_times, [still_running(900)] * 20) > 100) is counts


@pytest.mark.parametrize("own", [3, OF_OTHERS])
def test_run_times_of_other_teams_count_together_like_a_fixed_number_of_the_teams_own(
    own: int,
) -> None:
    """Those of others are odd and the team's own are even, and else alike."""
    different = min(own, 20)
    run_times = remembered(*(100 + 2 * (n % different) for n in range(own)))
    for n in range(30):
        run_times.record(Work(team="vision", template="cpu"), 101 + 2 * (n % different))
    found = [drawn(run_times, RunTimeFacts(), seed=seed) % 2 for seed in range(1000)]
    assert sum(found) / len(found) == pytest.approx(OF_OTHERS / (own + OF_OTHERS), abs=0.04)


def test_a_team_with_enough_run_times_of_its_own_needs_none_of_other_teams() -> None:
    run_times = remembered(*(100 + 2 * (n % 20) for n in range(SAMPLES)))
    for n in range(40):
        run_times.record(Work(team="vision", template="cpu"), 101 + 2 * (n % 20))
    assert {drawn(run_times, RunTimeFacts(), seed=seed) % 2 for seed in range(200)} == {0}


def test_one_course_knows_as_many_run_times_as_the_team_and_those_of_others_count_for() -> None:
    run_times = remembered(100, 150, 200)
    for n in range(4):
        for seconds in range(100, 200, 2):
            run_times.record(Work(team=f"other-{n}", template="cpu"), seconds + n / 10)
    one = Durations(run_times, [], random.Random(1))
    known = {one.left(CPU, RunTimeFacts()) for _ in range(1000)}
    assert 0.7 * (3 + OF_OTHERS) < len(known) <= 3 + OF_OTHERS
