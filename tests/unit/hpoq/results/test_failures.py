"""Failed training jobs are grouped by their reason."""

from __future__ import annotations

import pytest

from hpoq.results.failures import UNKNOWN, grouped
from hpoq.results.training_jobs import TrainingJobResult


def job(number: int, status: str = "Failed", reason: str = "") -> TrainingJobResult:
    return TrainingJobResult(
        number=number,
        name=f"fraud-a-x-{number:03}",
        status=status,
        objective=None,
        hyperparameters={},
        started_at=None,
        ended_at=None,
        failure_reason=reason,
    )


def test_equal_reasons_are_one_group_with_the_first_training_job() -> None:
    found = grouped(
        [
            job(4, reason="AlgorithmError: ExecuteUserScriptError, exit code: 1"),
            job(2, reason="AlgorithmError: ExecuteUserScriptError,\nexit code: 1"),
            job(1, reason="CapacityError: Unable to provision requested ML compute capacity."),
            job(3, status="Completed"),
        ]
    )
    assert [(each.count, each.first.number) for each in found] == [(2, 2), (1, 1)]
    assert found[0].reason == "AlgorithmError: ExecuteUserScriptError, exit code: 1"


def test_a_reason_that_names_its_training_job_is_the_same_reason() -> None:
    found = grouped([job(n, reason=f"No model of fraud-a-x-{n:03}") for n in (1, 2, 3)])
    assert [(each.reason, each.count) for each in found] == [("No model of the training job", 3)]


@pytest.mark.parametrize("jobs", [[], [job(1, status="Completed"), job(2, status="Stopped")]])
def test_without_failures_there_is_nothing_to_say(jobs: list[TrainingJobResult]) -> None:
    assert grouped(jobs) == []


def test_a_missing_reason_is_said_to_be_missing() -> None:
    assert grouped([job(1)])[0].reason == UNKNOWN
