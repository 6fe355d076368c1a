"""The clients of a target: whose credentials they have, and when these are fetched."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from hpo_dispatcher.aws.sagemaker import SageMakerTuning
from hpo_dispatcher.aws.targets.assumed_role import TargetClients
from hpo_dispatcher.ports import Unavailable

ROLE = "arn:aws:iam::222222222222:role/hpoq-research-access"
EXTERNAL_ID = "hpoq/111111111111/hpoq/research"


class Sts:
    """STS whose credentials last as long as a test wants."""

    def __init__(self, lasts: timedelta = timedelta(hours=1), error: str = "") -> None:
        self.asked: list[dict[str, Any]] = []
        self._lasts, self.error = lasts, error

    def assume_role(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        if self.error:
            answer = {"Error": {"Code": self.error, "Message": "is not authorized to perform it"}}
            raise ClientError(answer, "AssumeRole")
        number = len(self.asked)
        return {
            "Credentials": {
                "AccessKeyId": f"ASIA{number}",
                "SecretAccessKey": "secret",
                "SessionToken": "token",
                "Expiration": datetime.now(UTC) + self._lasts,
            }
        }


def clients(sts: Any) -> TargetClients:
    return TargetClients(
        region="eu-central-1", role_arn=ROLE, external_id=EXTERNAL_ID, sts=lambda: sts
    )


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield


@pytest.mark.usefixtures("aws")
def test_the_role_is_assumed_at_the_first_call_and_once() -> None:
    sts = Sts()
    sagemaker = clients(sts).client("sagemaker")
    assert sts.asked == []
    for _ in range(3):
        SageMakerTuning(sagemaker).in_progress()
    assert sts.asked == [
        {"RoleArn": ROLE, "RoleSessionName": "hpoq-dispatcher", "ExternalId": EXTERNAL_ID}
    ]


@pytest.mark.usefixtures("aws")
def test_credentials_that_expire_are_fetched_again() -> None:
    sts = Sts(lasts=timedelta(minutes=5))  # botocore fetches others ten minutes before the end
    sagemaker = clients(sts).client("sagemaker")
    for _ in range(2):
        SageMakerTuning(sagemaker).in_progress()
    assert len(sts.asked) >= 2


@pytest.mark.usefixtures("aws")
def test_a_revoked_role_is_a_target_that_does_not_answer() -> None:
    sagemaker = clients(Sts(error="AccessDenied")).client("sagemaker")
    with pytest.raises(Unavailable, match="AssumeRole"):
        SageMakerTuning(sagemaker).in_progress()


@pytest.mark.usefixtures("aws")
def test_the_calls_go_to_the_account_and_region_of_the_target() -> None:
    """moto keeps accounts apart by the credentials of the assumed role."""
    home = boto3.Session(region_name="us-east-1")
    there = clients(home.client("sts")).client("sts")
    assert there.get_caller_identity()["Account"] == "222222222222"
    assert there.meta.region_name == "eu-central-1"
