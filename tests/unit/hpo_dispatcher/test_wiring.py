"""The wired dispatcher over two accounts in two Regions, which moto keeps apart."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from hpo_dispatcher.contract.entry import Status
from hpo_dispatcher.contract.errors import InvalidSettings
from tests.support.dispatcher_account import (
    FAR_FUTURE,
    QUOTAS,
    REGION,
    Account,
    account,
    ample_time,
    session,
    write_quotas,
)

__all__ = ["account", "session"]

ACCOUNT, RESEARCH = "123456789012", "222222222222"
TARGETS: dict[str, Any] = {
    "home": {"account": ACCOUNT, "region": REGION},
    "research": {"account": RESEARCH, "region": "us-east-1", "instances": {"ml.m5.large": 20}},
}


def tuning_jobs_in(account_id: str, region: str) -> list[dict[str, Any]]:
    """Return the tuning jobs of an account and Region, as somebody there sees them."""
    there = boto3.client("sts", region_name=region).assume_role(
        RoleArn=f"arn:aws:iam::{account_id}:role/reader", RoleSessionName="reader"
    )["Credentials"]
    sagemaker = boto3.client(
        "sagemaker",
        region_name=region,
        aws_access_key_id=there["AccessKeyId"],
        aws_secret_access_key=there["SecretAccessKey"],
        aws_session_token=there["SessionToken"],
    )
    listed = sagemaker.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]
    names = [each["HyperParameterTuningJobName"] for each in listed]
    return [
        sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        for name in names
    ]


def test_a_request_for_a_target_becomes_a_tuning_job_in_its_account_and_region(
    account: Account,
) -> None:
    account.configure(targets=TARGETS)
    write_quotas(account, QUOTAS, FAR_FUTURE, "quotas-research")
    account.request("fraud", "here")
    account.request("fraud", "there", targets=["research"])
    wired = account.wired()
    summary = wired.dispatcher.run(ample_time())
    assert (summary.started, summary.problems) == (2, ())
    assert [name.split("-")[1] for name in account.tuning_jobs()] == ["here"]
    (job,) = tuning_jobs_in(RESEARCH, "us-east-1")
    assert job["HyperParameterTuningJobName"].startswith("fraud-there-")
    assert f":us-east-1:{RESEARCH}:" in job["HyperParameterTuningJobArn"]
    definition = job["TrainingJobDefinition"]
    assert definition["RoleArn"] == f"arn:aws:iam::{RESEARCH}:role/hpoq-research-fraud-training"
    output = definition["OutputDataConfig"]["S3OutputPath"]
    assert output.startswith(f"s3://hpoq-research-{RESEARCH}-us-east-1/teams/fraud/")
    assert tuning_jobs_in(ACCOUNT, "us-east-1") == []
    wired.dispatcher.run(ample_time())  # moto has ended both
    found = account.dispatcher().requests.get_all([("fraud", "here"), ("fraud", "there")])
    assert {key[1]: entry.status for key, entry in found.items()} == {
        "here": Status.COMPLETED, "there": Status.COMPLETED,
    }  # fmt: skip
    assert found["fraud", "there"].target == "research"


@pytest.mark.parametrize(
    ("home", "line"),
    [
        (
            {"account": "333333333333"},
            f"targets.home.account: is 333333333333, but the deployment is in {ACCOUNT}. Set "
            f"{ACCOUNT}",
        ),
        (
            {"region": "eu-west-1"},
            f"targets.home.region: is eu-west-1, but the deployment is in {REGION}. Set {REGION}",
        ),
    ],
)
def test_a_deployment_in_another_place_than_the_settings_say_gets_one_line(
    account: Account, home: dict[str, str], line: str
) -> None:
    account.configure(targets={**TARGETS, "home": {**TARGETS["home"], **home}})
    with pytest.raises(InvalidSettings) as error:
        account.wired()
    assert str(error.value) == line
