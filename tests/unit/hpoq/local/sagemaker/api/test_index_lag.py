"""New jobs are described at once; Search and ListTags know them later."""

from __future__ import annotations

from typing import Any

from boto3 import Session

from hpoq.local.lifecycle.processes import wait_until
from tests.support.memory_endpoint import Start, client_of, describe, tuning_job

TAGS = [{"Key": "team", "Value": "fraud"}]


def found(sagemaker: Any) -> list[str]:
    answer = sagemaker.search(Resource="HyperParameterTuningJob")
    return [
        each["HyperParameterTuningJob"]["HyperParameterTuningJobName"] for each in answer["Results"]
    ]


def test_tags_and_search_lag_behind_describe(start: Start, session: Session) -> None:
    sagemaker = client_of(start(behavior={"tag_lag_seconds": 1}), session)
    job = tuning_job("job-1") | {"Tags": TAGS}
    arn = sagemaker.create_hyper_parameter_tuning_job(**job)["HyperParameterTuningJobArn"]

    assert describe(sagemaker, "job-1")["HyperParameterTuningJobStatus"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == []
    assert found(sagemaker) == []

    assert wait_until(lambda: sagemaker.list_tags(ResourceArn=arn)["Tags"] == TAGS, 10)
    assert found(sagemaker) == ["job-1"]
