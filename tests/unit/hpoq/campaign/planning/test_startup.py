from __future__ import annotations

import math
import random
import statistics

import pytest

from benchmarks.fabricated import REQUEST
from hpoq.campaign.campaign_plan import PlannedJob
from hpoq.campaign.planning.compare import campaign_of
from hpoq.campaign.planning.startup import (
    POLL_MINUTES,
    continuing,
    trained_parts,
    until_look,
    waiting_minutes,
)


@pytest.mark.parametrize("minutes", [0.05, 0.3, 0.5, 0.8, 3.0, 30.0])
@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.5, 3.0])
def test_a_slot_waits_from_the_end_of_its_job_to_the_next_look(
    minutes: float, sigma: float
) -> None:
    draw = random.Random(1)
    location = math.log(minutes) - sigma * sigma / 2
    times = [draw.lognormvariate(location, sigma) for _ in range(20_000)]
    waits = [POLL_MINUTES * math.ceil(time / POLL_MINUTES) - time for time in times]
    assert until_look(minutes, sigma) == pytest.approx(statistics.fmean(waits), abs=0.01)


def test_jobs_of_five_seconds_wait_for_most_of_the_half_minute() -> None:
    assert until_look(5 / 60, 0.0) == pytest.approx(25 / 60)
    assert until_look(35 / 60, 0.0) == pytest.approx(25 / 60)


def test_a_job_of_many_half_minutes_waits_for_half_of_one() -> None:
    """Its end is as likely at any time between two looks."""
    assert until_look(5.0, 0.0) == 0.0
    assert until_look(5.5, 0.0) == POLL_MINUTES / 2
    assert until_look(500.0, 0.5) == POLL_MINUTES / 2


@pytest.mark.parametrize(("slots", "waits"), [(2, 0.8), (3, 0.8), (4, 0.0), (6, 0.0)])
def test_each_slot_of_a_job_that_does_not_start_at_once_waits_for_the_next_look(
    slots: int, waits: float
) -> None:
    """Three trials of 0.3 minutes and a start-up of 0.2 end 0.4 minutes before a look."""
    request = {**REQUEST, "strategy": "Bayesian"}
    campaign = campaign_of(
        name="c", trials=12, minutes_per_trial=0.3, startup_minutes=0.2, spread=0.0, request=request
    )
    jobs = [PlannedJob(number=n, trials=6, parallel=2) for n in (1, 2)]
    assert waiting_minutes(campaign, jobs, slots) == pytest.approx(waits)


def test_the_time_of_a_job_of_many_rounds_varies_less_than_that_of_a_trial() -> None:
    request = {**REQUEST, "strategy": "Bayesian"}
    campaign = campaign_of(
        name="c", trials=8, minutes_per_trial=0.3, startup_minutes=0.0, spread=0.8, request=request
    )
    jobs = [PlannedJob(number=n, trials=4, parallel=1) for n in (1, 2)]
    assert waiting_minutes(campaign, jobs, 1) == pytest.approx(until_look(1.2, 0.4))


@pytest.mark.parametrize(
    ("reports", "instances", "whole"), [(1, 1, True), (16, 0, True), (16, 1, False)]
)
def test_only_rays_trials_that_report_more_than_once_stop_early(
    reports: int, instances: int, whole: bool
) -> None:
    request = {**REQUEST, "strategy": "Bayesian"}
    campaign = campaign_of(
        name="c", trials=64, minutes_per_trial=1.0, reports_per_trial=reports, request=request
    )
    job = PlannedJob(number=1, trials=64, parallel=4, instances=instances)
    parts = trained_parts(campaign, [job])
    assert (parts == ((1.0, 1.0),)) == whole
    assert sum(each for each, _ in parts) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("reports", "rungs"), [(2, [1]), (4, [1]), (5, [1, 4]), (16, [1, 4]), (17, [1, 4, 16])]
)
def test_trials_are_compared_at_each_fourth_report_and_the_rest_trains_to_the_end(
    reports: int, rungs: list[int]
) -> None:
    request = {**REQUEST, "strategy": "Bayesian"}
    campaign = campaign_of(
        name="c", trials=96, minutes_per_trial=1.0, reports_per_trial=reports, request=request
    )
    jobs = [PlannedJob(number=n, trials=t, parallel=4, instances=1) for n, t in ((1, 64), (2, 32))]
    parts, left = list[tuple[float, float]](), 64.0  # those of the largest training job
    for rung in rungs:
        parts.append(((left - continuing(left)) / 64, rung / reports))
        left = continuing(left)
    found = trained_parts(campaign, jobs)
    assert len(found) == len(parts) + 1
    for part, expected in zip(found, (*parts, (left / 64, 1.0)), strict=True):
        assert part == pytest.approx(expected)
