"""Which training jobs are stopped early."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpoq.local.sagemaker.errors import ApiError
from hpoq.local.sagemaker.tuning.early_stopping import (
    EarlyStopping,
    Hyperband,
    MedianRule,
    early_stopping_of,
)
from tests.support.memory_endpoint import tuning_job


def steps_of(judge: EarlyStopping, number: int, values: list[float]) -> int:
    """Return how many steps a training job with these values makes until it is stopped."""
    for step, value in enumerate(values, start=1):
        if judge.should_stop(number, value):
            return step
    return len(values)


def test_a_job_below_the_median_of_running_averages_is_stopped() -> None:
    judge = MedianRule(maximize=True)
    for number, level in enumerate([0.5, 0.6, 0.7]):
        assert steps_of(judge, number, [level, level + 0.2]) == 2

    # averages up to the second step: 0.6, 0.7, 0.8
    assert steps_of(judge, 3, [0.65, 0.69]) == 2
    assert steps_of(judge, 4, [0.59]) == 1
    assert steps_of(judge, 5, [0.65, 0.75]) == 2
    assert judge.should_stop(6, 0.65) is False


def test_a_minimized_objective_is_worse_when_it_is_higher() -> None:
    judge = MedianRule(maximize=False)
    for number in range(3):
        assert not judge.should_stop(number, 1.0)

    assert judge.should_stop(3, 1.1)
    assert not judge.should_stop(4, 0.9)


def test_a_job_is_compared_only_with_earlier_jobs_that_reached_the_same_step() -> None:
    judge = MedianRule(maximize=True)
    for number in range(10, 20):
        judge.should_stop(number, 0.9)

    assert not judge.should_stop(5, 0.1)  # all others were started later
    judge.should_stop(30, 0.95)
    assert not judge.should_stop(30, 0.01)  # no other job has made a second step


def test_hyperband_continues_one_of_three_and_stops_at_the_maximum() -> None:
    judge = Hyperband(maximize=True, min_resource=1, max_resource=9)
    first_bracket = range(0, 20, 2)  # two brackets: from step 1, and from step 3
    for number, level in zip(first_bracket, [0.9, 0.8, 0.7], strict=False):
        judge.should_stop(number, level)

    assert judge.should_stop(6, 0.5)
    assert steps_of(judge, 8, [0.95] * 20) == 9
    assert not judge.should_stop(7, 0.0)  # the other bracket compares from step 3 on


def test_contradictory_settings_are_rejected() -> None:
    with pytest.raises(ApiError, match="must be Off"):
        early_stopping_of(
            {"Strategy": "Hyperband", "TrainingJobEarlyStoppingType": "Auto"}, maximize=True
        )
    resources = {"HyperbandStrategyConfig": {"MinResource": 9, "MaxResource": 3}}
    with pytest.raises(ApiError, match="greater than MaxResource"):
        early_stopping_of({"Strategy": "Hyperband", "StrategyConfig": resources}, maximize=True)


def test_the_api_rejects_hyperband_with_early_stopping(sagemaker: Any) -> None:
    job = tuning_job("job-1", Strategy="Hyperband", TrainingJobEarlyStoppingType="Auto")
    with pytest.raises(ClientError, match="must be Off"):
        sagemaker.create_hyper_parameter_tuning_job(**job)
