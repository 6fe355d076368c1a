"""The endpoint: lists, tags, unsupported operations, and the form of responses."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from boto3 import Session
from botocore.exceptions import ClientError

from tests.support.memory_endpoint import (
    MemoryPorts,
    Start,
    client_of,
    ended,
    training_job,
    tuning_job,
)


def test_lists_are_filtered_sorted_and_paged(sagemaker: Any, memory: MemoryPorts) -> None:
    for name in ("b-2", "a-1", "c-3"):
        sagemaker.create_hyper_parameter_tuning_job(**tuning_job(name, jobs=1, parallel=1))
        memory.await_status(name, "Completed")

    def names(**filters: Any) -> list[str]:
        pages = sagemaker.get_paginator("list_hyper_parameter_tuning_jobs").paginate(
            **filters, PaginationConfig={"PageSize": 2}
        )
        return [
            each["HyperParameterTuningJobName"]
            for page in pages
            for each in page["HyperParameterTuningJobSummaries"]
        ]

    assert names() == ["a-1", "b-2", "c-3"]
    assert names(SortBy="CreationTime", SortOrder="Descending") == ["c-3", "a-1", "b-2"]
    assert names(NameContains="-1") == ["a-1"]
    assert names(StatusEquals="InProgress") == []


def test_tags_are_kept(sagemaker: Any) -> None:
    job = tuning_job("job-1", jobs=1, parallel=1) | {"Tags": [{"Key": "team", "Value": "fraud"}]}
    arn = sagemaker.create_hyper_parameter_tuning_job(**job)["HyperParameterTuningJobArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "more", "Value": "x"}])
    tags = sagemaker.list_tags(ResourceArn=arn)["Tags"]
    assert {tag["Key"] for tag in tags} == {"team", "more"}


def test_a_response_that_violates_botocore_s_model_is_an_internal_failure(
    start: Start, session: Session, tmp_path: Path
) -> None:
    endpoint = start()
    sagemaker = client_of(endpoint, session)
    sagemaker.create_training_job(**training_job("alone"))
    ended(sagemaker, "alone")
    with sqlite3.connect(tmp_path / "sagemaker" / "jobs.sqlite") as database:
        database.execute(
            "UPDATE training_jobs SET record = json_remove(record, '$.TrainingJobStatus')"
        )
    answer = endpoint.handle("SageMaker.DescribeTrainingJob", b'{"TrainingJobName": "alone"}')
    assert answer[0] == 500
    assert b"InternalFailure" in answer[2]
    assert b"TrainingJobStatus" in answer[2]


def test_an_unsupported_operation_is_named_in_the_error(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match="ListModels is not supported by this endpoint"):
        sagemaker.list_models()
