"""When a tuning job completes before it has run all of its training jobs."""

from __future__ import annotations

from typing import Any

import pytest

from hpoq.local.sagemaker.tuning.completion import CompletionCriteria, count_since_best
from tests.support.memory_endpoint import (
    MemoryPorts,
    describe,
    tuning_job,
)


def test_a_tuning_job_completes_when_its_objective_reaches_the_target(
    sagemaker: Any, memory: MemoryPorts
) -> None:
    criteria = {"TargetObjectiveMetricValue": 0.5}
    job = tuning_job("job-1", jobs=50, parallel=2, TuningJobCompletionCriteria=criteria)
    sagemaker.create_hyper_parameter_tuning_job(**job)

    assert memory.await_status("job-1", "Completed", "Failed") == "Completed"
    found = describe(sagemaker, "job-1")
    best = found["BestTrainingJob"]["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
    assert best >= 0.5
    assert sum(found["TrainingJobStatusCounters"].values()) < 10
    assert found["TuningJobCompletionDetails"]["NumberOfTrainingJobsObjectiveNotImproving"] >= 0


@pytest.mark.parametrize(
    ("objectives", "met"),
    [([0.1, 0.9], False), ([0.9, 0.1, 0.2], False), ([0.9, 0.1, 0.2, 0.3], True), ([], False)],
)
def test_training_jobs_without_improvement_complete_the_tuning_job(
    objectives: list[float], met: bool
) -> None:
    asked = {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}
    criteria = CompletionCriteria.of({"TuningJobCompletionCriteria": asked}, maximize=True)
    assert (criteria.met(objectives) is not None) is met


def test_a_search_has_converged_when_the_improvement_becomes_negligible() -> None:
    asked = {"ConvergenceDetected": {"CompleteOnConvergence": "Enabled"}}
    criteria = CompletionCriteria.of({"TuningJobCompletionCriteria": asked}, maximize=False)
    falling = [1 / (step + 1) for step in range(20)]

    assert criteria.met(falling) is None
    assert criteria.met([*falling, *[0.04] * 20]) is None
    assert criteria.met([*falling, *[0.0499] * 20]) == "the search has converged"


def test_a_minimized_objective_reaches_its_target_from_above() -> None:
    asked = {"TargetObjectiveMetricValue": 0.2}
    criteria = CompletionCriteria.of({"TuningJobCompletionCriteria": asked}, maximize=False)
    assert criteria.met([0.3]) is None
    assert criteria.met([0.3, 0.2]) == "the objective has reached its target"


def criteria(*, maximize: bool = True, **asked: Any) -> CompletionCriteria:
    return CompletionCriteria.of({"TuningJobCompletionCriteria": asked}, maximize=maximize)


def test_a_tuning_job_without_criteria_runs_all_of_its_training_jobs() -> None:
    assert CompletionCriteria.of({}, maximize=True) == CompletionCriteria()
    assert CompletionCriteria().met([1.0] * 100) is None
    assert not criteria(ConvergenceDetected={"CompleteOnConvergence": "Disabled"}).convergence


@pytest.mark.parametrize(
    ("maximize", "objectives", "met"),
    [
        (True, [0.49], False),
        (True, [0.5], True),
        (True, [0.6, 0.1], True),  # an earlier one has reached it
        (False, [0.51], False),
        (False, [0.5], True),
        (False, [0.4, 0.9], True),
    ],
)
def test_a_target_is_reached_by_the_value_itself(
    maximize: bool, objectives: list[float], met: bool
) -> None:
    found = criteria(maximize=maximize, TargetObjectiveMetricValue=0.5).met(objectives)
    assert (found is not None) is met


def test_a_target_of_zero_is_a_target() -> None:
    assert criteria(TargetObjectiveMetricValue=0.0).met([0.1])
    assert not criteria(TargetObjectiveMetricValue=0.0).met([-0.1])


@pytest.mark.parametrize(
    ("scores", "since"),
    [([1.0], 0), ([1.0, 2.0], 0), ([2.0, 1.0], 1), ([2.0, 2.0, 2.0], 2), ([1.0, 3.0, 2.0], 1)],
)
def test_an_equal_score_is_no_improvement(scores: list[float], since: int) -> None:
    assert count_since_best(scores) == since


@pytest.mark.parametrize(
    ("before", "after", "converged"),
    [
        ([0.0, 0.995], [1.0] * 20, True),  # less than a hundredth of the improvement
        ([0.0, 0.98], [1.0] * 20, False),
        ([0.0, 1.0], [0.5] * 20, True),
        ([0.0, 1.0], [0.5] * 18, False),  # 20 training jobs, and none before them
        ([1.0], [1.0] * 20, True),
    ],
)
def test_a_search_converges_when_its_last_twenty_contribute_a_hundredth_at_most(
    before: list[float], after: list[float], converged: bool
) -> None:
    asked = criteria(ConvergenceDetected={"CompleteOnConvergence": "Enabled"})
    assert (asked.met([*before, *after]) is not None) is converged
