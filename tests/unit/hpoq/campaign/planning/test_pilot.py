"""A pilot measures what a trial takes, and start-ups are counted as SageMaker has them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from benchmarks.fabricated import REQUEST
from hpoq.campaign.campaign_plan import PlannedJob
from hpoq.campaign.model import NAME_MAX_LENGTH
from hpoq.campaign.planning.compare import campaign_of
from hpoq.campaign.planning.pilot import measure_startups, pilot_of
from hpoq.campaign.planning.startup import startup_minutes

WANTED: dict[str, Any] = {"name": "credit", "request": {**REQUEST, "strategy": "Bayesian"}}


def test_a_pilot_is_one_random_search_of_a_few_trials_named_after_its_campaign() -> None:
    plan = pilot_of(WANTED, trials=4, guess=2.0)
    assert plan.campaign.name == "credit-pilot"
    assert [job.trials for job in plan.jobs] == [4]
    assert plan.campaign.request["strategy"] == "Random"
    assert plan.campaign.minutes_per_trial == 2.0
    assert WANTED["request"]["strategy"] == "Bayesian", "the campaign itself keeps its strategy"


@pytest.mark.parametrize("name", ["c" * NAME_MAX_LENGTH, "c" * (NAME_MAX_LENGTH - 7) + "-credit"])
def test_the_name_of_a_pilot_is_cut_to_fit(name: str) -> None:
    made = pilot_of({**WANTED, "name": name}, trials=2, guess=1.0).campaign.name
    assert len(made) <= NAME_MAX_LENGTH
    assert made.endswith("c-pilot")


@pytest.mark.parametrize(
    ("minutes", "trials", "parallel", "expected"),
    [
        (0.0, 100, 10, 0.0),
        (3.0, 10, 10, 30.0),  # each of the first starts an instance
        (3.0, 30, 10, 33.0),  # the others reuse one, which takes a twentieth
    ],
)
def test_trials_that_reuse_an_instance_start_in_a_twentieth_of_the_time(
    minutes: float, trials: int, parallel: int, expected: float
) -> None:
    campaign = campaign_of(
        **WANTED, trials=trials, minutes_per_trial=1.0, startup_minutes=minutes
    )  # fmt: skip
    jobs = [PlannedJob(number=1, trials=trials, parallel=parallel)]
    assert startup_minutes(campaign, jobs) == pytest.approx(expected)


def test_the_first_training_job_of_each_slot_starts_an_instance_and_the_others_reuse_one() -> None:
    seconds = [200, 160, 9, 9, 9, 9]
    created = pd.Series(pd.date_range("2026-01-01", periods=6, freq="min", tz="UTC"))
    table = pd.DataFrame(
        {"created_at": created, "started_at": created + pd.to_timedelta(seconds, unit="s")}
    )
    assert measure_startups(table, slots=2) == pytest.approx((3.0, 0.15))
    first, later = measure_startups(table.head(2), slots=2)
    assert first == pytest.approx(3.0)
    assert later is None
    unknown = table.assign(started_at=pd.Series(pd.NaT, index=table.index))
    assert measure_startups(unknown, slots=2) == (None, None)


def test_a_measured_start_up_of_later_trials_replaces_the_twentieth() -> None:
    """The embedded cloud starts a process for each trial, for example."""
    campaign = campaign_of(
        **WANTED, trials=30, minutes_per_trial=1.0, startup_minutes=3.0,
        reused_startup_minutes=2.0,
    )  # fmt: skip
    jobs = [PlannedJob(number=1, trials=30, parallel=10)]
    assert startup_minutes(campaign, jobs) == pytest.approx(10 * 3.0 + 20 * 2.0)
