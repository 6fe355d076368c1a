"""What the doctor makes of errors that keep it from looking."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from botocore.stub import Stubber

from hpo_dispatcher.contract.errors import InvalidRequest
from hpoq.doctor import checks
from hpoq.doctor.examined import Examined
from hpoq.doctor.findings import Finding, Verdict, fault, ok
from hpoq.doctor.run import examine


@pytest.fixture
def examined() -> Examined:
    session = boto3.Session("key", "secret", region_name="eu-west-1")
    return Examined(deployment="hpoq", session=session)


def client_error(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "DescribeStacks")


@pytest.mark.parametrize(
    ("error", "verdict", "line"),
    [
        (
            NoCredentialsError(),
            Verdict.FAULT,
            "there are no AWS credentials. Set AWS_PROFILE, or run `aws configure` or "
            "`aws sso login`",
        ),
        (
            client_error("ExpiredToken"),
            Verdict.FAULT,
            "the credentials are not valid (ExpiredToken). Sign in again",
        ),
        (
            client_error("SignatureDoesNotMatch", "Signature expired"),
            Verdict.FAULT,
            "AWS refuses the signature (SignatureDoesNotMatch). Synchronize the clock (NTP); if it "
            "is right, the secret access key is wrong",
        ),
        (
            client_error("AccessDenied"),
            Verdict.UNKNOWN,
            "not permitted: DescribeStacks. Ask for a role that may read the deployment, as "
            "docs/first-deployment.md lists",
        ),
        (
            client_error("InternalFailure", "try again"),
            Verdict.FAULT,
            "DescribeStacks: InternalFailure try again",
        ),
        (
            EndpointConnectionError(endpoint_url="https://sts.nowhere.amazonaws.com"),
            Verdict.FAULT,
            'Could not connect to the endpoint URL: "https://sts.nowhere.amazonaws.com". Check the '
            "Region, the profile and the network",
        ),
        (
            InvalidRequest("instance_type", "not allowed", "Use ml.m5.large"),
            Verdict.FAULT,
            "instance_type: not allowed. Use ml.m5.large",
        ),
    ],
)
def test_an_error_is_one_line_with_its_fix(
    examined: Examined, error: Exception, verdict: Verdict, line: str
) -> None:
    def fails(_: Examined) -> Iterator[Finding]:
        raise error
        yield

    (found,) = examine(examined, {"any": fails})
    assert found.verdict is verdict
    assert str(found) == line


@pytest.mark.parametrize(("name", "rest"), [("stack", []), ("bucket", ["later"])])
def test_checks_end_where_there_is_nothing_more_to_look_at(
    examined: Examined, name: str, rest: list[str]
) -> None:
    def broken(_: Examined) -> Iterator[Finding]:
        yield fault(name, "broken", "")

    def later(_: Examined) -> Iterator[Finding]:
        yield ok("later", "fine")

    found = [each.check for each in examine(examined, {name: broken, "later": later})]
    assert found == [name, *rest]


def stubbed(
    examined: Examined, service: str, *answers: tuple[str, dict[str, Any]]
) -> Iterator[Stubber]:
    with Stubber(examined.client(service)) as stub:
        for operation, answer in answers:
            stub.add_response(operation, answer)
        yield stub


@pytest.mark.parametrize(
    ("minutes", "verdict"),
    [(0, Verdict.OK), (4, Verdict.OK), (6, Verdict.FAULT), (-9, Verdict.FAULT)],
)
def test_a_clock_that_aws_would_refuse_is_a_fault(
    examined: Examined, minutes: int, verdict: Verdict
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    answer = {
        "Arn": "arn:aws:iam::111122223333:user/ada",
        "Account": "111122223333",
        "UserId": "AIDA",
        "ResponseMetadata": {"HTTPHeaders": {"date": date}},
    }
    for _ in stubbed(examined, "sts", ("get_caller_identity", answer)):
        found = {each.check: each for each in checks.identity(examined)}
    assert found["clock"].verdict is verdict


@pytest.mark.parametrize(
    ("status", "verdict", "words"),
    [
        ("CREATE_COMPLETE", Verdict.OK, "hpoq is CREATE_COMPLETE"),
        ("ROLLBACK_COMPLETE", Verdict.FAULT, "Run `aws cloudformation delete-stack"),
        ("UPDATE_ROLLBACK_FAILED", Verdict.FAULT, "the stack is UPDATE_ROLLBACK_FAILED"),
        ("UPDATE_IN_PROGRESS", Verdict.WARNING, "Wait until the deployment has ended"),
    ],
)
def test_the_state_of_the_stack(
    examined: Examined, status: str, verdict: Verdict, words: str
) -> None:
    stack = {"StackName": "hpoq", "CreationTime": datetime.now(UTC), "StackStatus": status}
    for _ in stubbed(examined, "cloudformation", ("describe_stacks", {"Stacks": [stack]})):
        (found,) = checks.stack(examined)
    assert found.verdict is verdict
    assert words in str(found)


def test_a_quota_of_a_new_account_is_named_with_the_command_that_raises_it(
    examined: Examined,
) -> None:
    vars(examined)["sample"] = {
        "HyperParameterTuningJobConfig": {"ResourceLimits": {"MaxParallelTrainingJobs": 5}},
        "TrainingJobDefinition": {
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1}
        },
    }
    quotas = [
        {
            "QuotaName": "Number of instances across all training jobs",
            "QuotaCode": "L-00C91CB5",
            "Value": 4.0,
        },
        {"QuotaName": "ml.m5.large for training job usage", "QuotaCode": "L-1", "Value": 15.0},
        {"QuotaName": "ml.m5.large for endpoint usage", "QuotaCode": "L-2", "Value": 0.0},
    ]
    for _ in stubbed(examined, "service-quotas", ("list_service_quotas", {"Quotas": quotas})):
        (found,) = checks.quotas(examined)
    assert str(found) == (
        "the quota 'Number of instances across all training jobs' is 4, and the default template "
        "needs 5. Run `aws service-quotas request-service-quota-increase --service-code sagemaker "
        "--quota-code L-00C91CB5 --desired-value 5`"
    )
