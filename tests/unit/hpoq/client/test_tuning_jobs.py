"""What SageMaker reports about the tuning job of a request."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from hpo_dispatcher.contract.entry import BestTrainingJob, Entry, Status
from hpoq.client import tuning_jobs
from hpoq.errors import NotFound

ENTRY = Entry(
    team="fraud", request_id="r", status=Status.COMPLETED, accepted_at=datetime.now(UTC),
    best=BestTrainingJob(name="r-001", objective=1.0, metric="auc", hyperparameters={}),
)  # fmt: skip


class Describing:
    """SageMaker, with one answer of DescribeTrainingJob."""

    def __init__(self, answer: dict[str, Any] | str) -> None:
        self._answer = answer

    def service(self, _: str) -> Describing:
        return self

    def describe_training_job(self, **_: str) -> dict[str, Any]:
        if isinstance(self._answer, str):
            error: Any = {"Error": {"Code": self._answer, "Message": "no"}}
            raise ClientError(error, "DescribeTrainingJob")
        return self._answer


def model_uri(answer: dict[str, Any] | str) -> str | None:
    return tuning_jobs.model_uri(lambda _: Describing(answer), ENTRY)


def test_the_model_is_where_sagemaker_says() -> None:
    assert model_uri({"ModelArtifacts": {"S3ModelArtifacts": "s3://b/m"}}) == "s3://b/m"
    assert model_uri({}) is None  # the API reference does not promise one


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException"])
def test_without_an_answer_the_model_is_not_known(code: str) -> None:
    assert model_uri(code) is None


@pytest.mark.parametrize("code", ["ResourceNotFound", "ValidationException"])
def test_a_deleted_training_job_is_not_one_without_permission(code: str) -> None:
    with pytest.raises(NotFound, match=r"the training job r-001 is no longer in SageMaker\."):
        model_uri(code)
