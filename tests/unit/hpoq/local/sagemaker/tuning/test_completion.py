"""When a tuning job completes before it has run all of its training jobs."""

from __future__ import annotations

from typing import Any

import pytest

from hpoq.local.sagemaker.tuning.completion import CompletionCriteria
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
