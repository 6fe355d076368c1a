"""Statuses of tuning jobs: those that botocore's model has, and those that it may have one day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from hpo_dispatcher.aws.sagemaker import BEING_DELETED, SageMakerTuning, status_of
from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.ports import Unavailable

AT = datetime(2026, 1, 1, tzinfo=UTC)
ARN = "arn:aws:sagemaker:eu-west-1:111122223333:hyper-parameter-tuning-job/a"
COUNTERS = {"TrainingJobStatusCounters": {"Completed": 2}}
# Word, whether the tuning job has an end time, and what it means.
WORDS = [
    ("InProgress", False, Status.IN_PROGRESS),
    ("Stopping", False, Status.STOPPING),
    ("Completed", True, Status.COMPLETED),
    ("Failed", True, Status.FAILED),
    ("Stopped", True, Status.STOPPED),
    ("Deleting", True, Status.STOPPED),
    ("Deleting", False, Status.STOPPED),
    ("DeleteFailed", False, Status.STOPPED),
    ("Hibernating", False, Status.STOPPING),
    ("Hibernating", True, Status.STOPPED),
    # Words of hpoq that mean something else.
    ("Queued", False, Status.STOPPING),
    ("Rejected", True, Status.STOPPED),
]


@pytest.fixture
def stubbed() -> Iterator[tuple[SageMakerTuning, Stubber]]:
    client = boto3.Session("a", "b", region_name="eu-west-1").client("sagemaker")
    with Stubber(client) as stubber:
        yield SageMakerTuning(client), stubber


def described(word: str, *, ended: bool) -> dict[str, Any]:
    return {
        "HyperParameterTuningJobName": "a",
        "HyperParameterTuningJobArn": ARN,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "ResourceLimits": {"MaxParallelTrainingJobs": 1},
        },
        "HyperParameterTuningJobStatus": word,
        "CreationTime": AT,
        "TrainingJobStatusCounters": {"Completed": 2},
        "ObjectiveStatusCounters": {},
        **({"HyperParameterTuningEndTime": AT} if ended else {}),
    }


def test_every_status_of_the_api_has_a_row() -> None:
    model = boto3.client("sagemaker", "eu-west-1").meta.service_model
    words = set(model.shape_for("HyperParameterTuningJobStatus").enum)
    assert words <= {word for word, _, _ in WORDS}


@pytest.mark.parametrize(("word", "ended", "status"), WORDS)
def test_any_status_is_understood(
    stubbed: tuple[SageMakerTuning, Stubber], word: str, ended: bool, status: Status
) -> None:
    tuning, stubber = stubbed
    answer = described(word, ended=ended)
    stubber.add_response("describe_hyper_parameter_tuning_job", answer)
    stubber.add_response("search", {"Results": [{"HyperParameterTuningJob": answer}]})

    detail = tuning.describe("a")

    assert detail is not None
    assert (detail.status, detail.counters) == (status, {"Completed": 2})
    assert detail.deleted == (word in ("Deleting", "DeleteFailed"))
    assert set(tuning.search_ended(["a"])) == ({"a"} if status.ended else set())


@pytest.mark.parametrize("word", ["Deleting", "DeleteFailed"])
@pytest.mark.parametrize(
    ("given", "reason"), [("", BEING_DELETED), ("AlgorithmError", "AlgorithmError")]
)
def test_a_tuning_job_that_is_being_deleted_says_so_unless_it_failed(
    stubbed: tuple[SageMakerTuning, Stubber], word: str, given: str, reason: str
) -> None:
    tuning, stubber = stubbed
    answer = described(word, ended=True) | ({"FailureReason": given} if given else {})
    stubber.add_response("describe_hyper_parameter_tuning_job", answer)
    detail = tuning.describe("a")
    assert detail is not None
    assert detail.failure_reason == reason


@pytest.mark.parametrize(("word", "ended", "status"), WORDS)
def test_a_list_with_any_status_is_read(
    stubbed: tuple[SageMakerTuning, Stubber], word: str, ended: bool, status: Status
) -> None:
    tuning, stubber = stubbed
    summary = {
        "HyperParameterTuningJobName": "a", "HyperParameterTuningJobArn": ARN,
        "HyperParameterTuningJobStatus": word, "Strategy": "Random", "CreationTime": AT,
        "TrainingJobStatusCounters": {}, "ObjectiveStatusCounters": {},
    }  # fmt: skip
    for found in ([summary], []):  # a list for InProgress, one for Stopping
        answer = {"HyperParameterTuningJobSummaries": found}
        stubber.add_response("list_hyper_parameter_tuning_jobs", answer)

    jobs = tuning.in_progress()

    assert [job.status for job in jobs] == [status_of(word)]
    assert ended or jobs[0].status is status


OTHER = "arn:aws:sagemaker:eu-west-1:111122223333:hyper-parameter-tuning-job/xfraud-a-1"
OURS = "arn:aws:sagemaker:eu-west-1:111122223333:hyper-parameter-tuning-job/fraud-a-1"


@pytest.mark.parametrize(
    ("found", "at"),
    [
        ([], None),
        ([("fraud-a-1-001-1a2b3c4d", OURS, 1), ("fraud-a-1-002-1a2b3c4e", OURS, 2)], 2),
        ([("xfraud-a-1-001-1a2b3c4d", OTHER, 1)], None),
        ([("Fraud-a-1-001-1a2b3c4d", OURS, 3), ("xfraud-a-1-001-1a2b3c4d", OTHER, 4)], 3),
        ([("fraud-a-1-by-hand", None, 1)], None),  # not launched by a tuning job
    ],
)
def test_training_jobs_of_a_deleted_tuning_job_are_found_by_their_names(
    stubbed: tuple[SageMakerTuning, Stubber],
    found: list[tuple[str, str | None, int]],
    at: int | None,
) -> None:
    tuning, stubber = stubbed
    jobs = [
        {
            "TrainingJobName": name, "CreationTime": AT + timedelta(minutes=minute),
            **({"TuningJobArn": owner} if owner else {}),
        }
        for name, owner, minute in found
    ]  # fmt: skip
    stubber.add_response("search", {"Results": [{"TrainingJob": each} for each in jobs]})

    expected = {} if at is None else {"Fraud-a-1": AT + timedelta(minutes=at)}
    assert tuning.trained(["Fraud-a-1"]) == expected


@pytest.mark.parametrize("code", ["ResourceNotFound", "ValidationException"])
def test_a_training_job_that_is_gone_has_no_model(
    stubbed: tuple[SageMakerTuning, Stubber], code: str
) -> None:
    """The API reference has ResourceNotFound, and SageMaker says ValidationException."""
    tuning, stubber = stubbed
    stubber.add_client_error("describe_training_job", code, "Requested resource not found")
    assert tuning.model_uri("a-001") is None


def test_a_training_job_that_may_not_be_described_is_not_one_without_a_model(
    stubbed: tuple[SageMakerTuning, Stubber],
) -> None:
    tuning, stubber = stubbed
    stubber.add_client_error("describe_training_job", "AccessDeniedException", "not authorized")
    with pytest.raises(Unavailable, match="AccessDenied"):
        tuning.model_uri("a-001")
