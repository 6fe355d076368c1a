"""A tuner with the interface that versions 2 and 3 of the SageMaker SDK have in common."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import boto3

from tests.support.tuning_requests import api_request


class SdkSession:
    """A session as the SDK has it, with its clients made before any hook is installed."""

    def __init__(self, boto_session: boto3.Session, bucket: str = "the-default-bucket") -> None:
        self.boto_session = boto_session
        self.sagemaker_client = boto_session.client("sagemaker")
        self.default_bucket_prefix: str | None = None
        self._bucket = bucket

    def default_bucket(self) -> str:
        return self._bucket

    def upload_data(self, path: str, bucket: str, key_prefix: str) -> str:
        s3, given = self.boto_session.client("s3"), Path(path)
        files = [each for each in given.rglob("*") if each.is_file()] if given.is_dir() else [given]
        base = given if given.is_dir() else given.parent
        for each in files:
            s3.upload_file(str(each), bucket, f"{key_prefix}/{each.relative_to(base).as_posix()}")
        return f"s3://{bucket}/{key_prefix}" + ("" if given.is_dir() else f"/{given.name}")


class SdkTuner:
    """A tuner that uploads its code, then creates a tuning job of one script."""

    base_tuning_job_name = "script"

    def __init__(self, session: SdkSession, **fields: Any) -> None:
        self.sagemaker_session = session
        self.fields = fields
        self.name = ""

    def fit(self, inputs: Any, job_name: str, wait: bool) -> None:
        assert not wait
        session, self.name = self.sagemaker_session, job_name
        bucket, key = session.default_bucket(), f"{job_name}/source/sourcedir.tar.gz"
        session.boto_session.client("s3").put_object(Bucket=bucket, Key=key, Body=b"code")
        request = copy.deepcopy(api_request()) | {"HyperParameterTuningJobName": job_name}
        definition = request["TrainingJobDefinition"]
        definition["StaticHyperParameters"] = {
            "sagemaker_submit_directory": f'"s3://{bucket}/{key}"'
        }
        if isinstance(inputs, list):  # of InputData
            inputs = {each.channel_name: each.data_source for each in inputs}
        source = definition["InputDataConfig"][0]["DataSource"]["S3DataSource"]
        source["S3Uri"] = inputs["train"] if isinstance(inputs, dict) else inputs
        out = f"s3://{bucket}/{session.default_bucket_prefix or 'out'}/"
        definition["OutputDataConfig"]["S3OutputPath"] = out
        session.sagemaker_client.create_hyper_parameter_tuning_job(**request | self.fields)

    def describe(self) -> Any:
        return self.sagemaker_session.sagemaker_client.describe_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=self.name
        )
